package dev.forkd.engine.process;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.host.Signals;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** What the launcher tells of one sandbox or template, as sentences. Thread-safe. */
final class Fate {
  private static final long MIB = 1 << 20;
  private static final int MAX_SIGNAL = 64;

  private final String subject;
  private final long memoryLimit;
  private final CompletableFuture<String> ended = new CompletableFuture<>();
  private final CompletableFuture<String> runtimeEnded = new CompletableFuture<>();
  private volatile boolean expected;

  /**
   * A fate.
   *
   * @param subject "sandbox sb-1": how sentences call it
   * @param memoryLimit bytes, 0 = none; named when memory ran out
   */
  Fate(String subject, long memoryLimit) {
    this.subject = subject;
    this.memoryLimit = memoryLimit;
  }

  /** From here on its end is what we asked for and is not told. */
  void expectEnd() {
    expected = true;
  }

  /** SANDBOX_ENDED or TEMPLATE_ENDED. */
  void tellEnded(Fields event) {
    boolean known = event.has(FieldKey.SIGNAL) || event.has(FieldKey.EXIT_CODE);
    String message = known ? "" : ErrorFrame.oneLine(event.text(FieldKey.MESSAGE));
    tellEnded(subject + " " + how(event) + (message.isEmpty() ? "" : ": " + message));
  }

  void tellEnded(String sentence) {
    if (!expected) {
      ended.complete(sentence);
    }
  }

  /** RUNTIME_LOST, or the agent's RUNTIME_ENDED. */
  void tellRuntimeEnded(Fields event) {
    runtimeEnded.complete("the runtime of " + subject + " " + how(event));
  }

  /** Completes with a sentence when it ends without being asked to. */
  CompletableFuture<String> ended() {
    return ended;
  }

  /** How it ended, if that becomes known within {@code wait}. */
  Optional<String> endWithin(Duration wait) {
    return within(ended, wait);
  }

  /** How its runtime ended, if that becomes known within {@code wait}. */
  Optional<Failure> runtimeEndWithin(Duration wait) {
    return within(runtimeEnded, wait)
        .map(sentence -> new Failure(FailureKind.ENGINE, sentence + "; only exec still works"));
  }

  private String how(Fields event) {
    int signal = (int) event.integer(FieldKey.SIGNAL, 0, 0, MAX_SIGNAL);
    if (signal == Signals.KILL && event.integer(FieldKey.OOM_KILLS, 0, 0, Long.MAX_VALUE) > 0) {
      return "was killed: out of memory" + limitText();
    }
    if (signal != 0) {
      return "was killed by " + Signals.name(signal);
    }
    return event.has(FieldKey.EXIT_CODE)
        ? "ended with exit code " + event.integer(FieldKey.EXIT_CODE, 0, 0, 255)
        : "ended";
  }

  private String limitText() {
    return memoryLimit == 0 ? "" : " (limit " + memoryLimit / MIB + " MiB)";
  }

  private static Optional<String> within(CompletableFuture<String> future, Duration wait) {
    try {
      return Optional.of(future.get(wait.toMillis(), TimeUnit.MILLISECONDS));
    } catch (TimeoutException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    } catch (ExecutionException e) {
      throw new IllegalStateException(e);
    }
  }
}
