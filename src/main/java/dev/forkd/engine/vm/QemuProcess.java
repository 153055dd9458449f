package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.host.Signals;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One QEMU below {@code forkd-vm run}, with one owner. {@link #close} kills it. */
final class QemuProcess implements AutoCloseable {
  private static final int SIGNALLED = 128;
  private static final int TAIL = 4_096;
  private static final Duration KILL_WAIT = Duration.ofSeconds(10);

  private final Process process;

  private QemuProcess(Process process) {
    this.process = process;
  }

  /**
   * What to start.
   *
   * @param uid nobody else's
   * @param files descriptors as {@code forkd-vm run} takes them
   * @param args QEMU's
   * @param stdin what it reads; /dev/null when it reads nothing
   */
  record Launch(long uid, long gid, List<String> files, List<String> args, Path stdin) {}

  /**
   * Starts one.
   *
   * @param starter a thread that lives as long as the engine: the kernel kills QEMU when the thread
   *     that started it ends, not when the process does (PR_SET_PDEATHSIG in prctl(2))
   */
  static QemuProcess start(Path wrapper, Launch launch, ExecutorService starter) {
    List<String> command = new ArrayList<>();
    command.add(wrapper.toString());
    command.addAll(List.of("run", Long.toString(launch.uid()), Long.toString(launch.gid())));
    command.addAll(launch.files());
    command.add("--");
    command.addAll(launch.args());
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.redirectInput(launch.stdin().toFile());
    builder.redirectOutput(Redirect.to(new File("/dev/null")));
    builder.environment().clear();
    builder.environment().putAll(Map.of("PATH", "/usr/bin:/bin", "LC_ALL", "C.UTF-8"));
    try {
      return new QemuProcess(starter.submit(builder::start).get());
    } catch (ExecutionException | InterruptedException e) {
      throw new Failure(FailureKind.ENGINE, "cannot start QEMU: " + e.getMessage()).thrown(e);
    }
  }

  long pid() {
    return process.pid();
  }

  /** Completes when it has ended. */
  CompletableFuture<Process> onExit() {
    return process.onExit();
  }

  /** How it ended, as a part of a sentence; empty when it still runs after {@code wait}. */
  Optional<String> end(Duration wait) {
    try {
      process.onExit().get(wait.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      return Optional.empty();
    } catch (ExecutionException | InterruptedException e) {
      throw new Failure(FailureKind.INTERNAL, "waiting for QEMU failed: " + e).thrown(e);
    }
    int value = process.exitValue();
    String how =
        value > SIGNALLED
            ? "was killed by " + Signals.name(value - SIGNALLED)
            : "ended (QEMU's exit code is " + value + ")";
    String said = value > SIGNALLED ? "" : said();
    return Optional.of(said.isEmpty() ? how : how + ": " + said);
  }

  /** The last of what it wrote to stderr; the pipe keeps it when QEMU has ended. */
  private String said() {
    try (InputStream stderr = process.getErrorStream()) {
      String text = new String(stderr.readNBytes(stderr.available()), UTF_8).strip();
      return text.substring(Math.max(0, text.length() - TAIL)).replaceAll("\\s+", " ");
    } catch (IOException e) {
      return "its messages are lost (" + e.getMessage() + ")";
    }
  }

  @Override
  public void close() {
    process.destroyForcibly();
    if (end(KILL_WAIT).isEmpty()) {
      throw new Failure(FailureKind.ENGINE, "QEMU " + pid() + " did not die").thrown();
    }
  }
}
