package dev.forkd.host;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A native peer on three pipes, with one owner. Its stderr is always read, so it never blocks
 * there; only the end of it is kept. {@link #close} ends it: stdin closed, then SIGTERM, then
 * SIGKILL, each with a deadline.
 */
public final class Subprocess implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Subprocess.class);
  private static final int TAIL = 16_384;
  private static final int SIGNALLED = 128;

  private final String name;
  private final Process process;
  private final Duration grace;
  private final Thread stderrReader;
  private final StringBuilder tail = new StringBuilder();

  private Subprocess(String name, Process process, Duration grace) {
    this.name = name;
    this.process = process;
    this.grace = grace;
    // A platform thread: a blocked read of a pipe would hold a carrier of the virtual threads.
    this.stderrReader =
        Thread.ofPlatform().daemon().name(name + "-stderr").unstarted(this::readStderr);
  }

  /**
   * Starts a program with exactly that environment.
   *
   * @param grace how long {@link #close} waits after closing stdin, and again after SIGTERM
   * @throws ForkdException UNSUPPORTED when the program cannot be executed
   */
  public static Subprocess start(List<String> argv, Map<String, String> env, Duration grace) {
    String name = argv.getFirst().substring(argv.getFirst().lastIndexOf('/') + 1);
    ProcessBuilder builder = new ProcessBuilder(argv);
    builder.environment().clear();
    builder.environment().putAll(env);
    try {
      Subprocess started = new Subprocess(name, builder.start(), grace);
      started.stderrReader.start();
      LOG.debug("event=subprocess_started name={} pid={}", name, started.pid());
      return started;
    } catch (IOException e) {
      throw new Failure(FailureKind.UNSUPPORTED, "cannot start " + argv.getFirst() + ": " + e)
          .thrown(e);
    }
  }

  /** Its process id. */
  public long pid() {
    return process.pid();
  }

  /** What it reads. */
  public OutputStream stdin() {
    return process.getOutputStream();
  }

  /** What it writes. */
  public InputStream stdout() {
    return process.getInputStream();
  }

  /** The last 16 KiB that it wrote to stderr. */
  public String stderrTail() {
    synchronized (tail) {
      return tail.toString();
    }
  }

  /**
   * How it ended, as a part of a sentence: "ended with exit code 3", "was killed by SIGKILL". Empty
   * when it still runs after {@code wait}.
   */
  public Optional<String> end(Duration wait) {
    if (!waitFor(wait)) {
      return Optional.empty();
    }
    join(stderrReader);
    int value = process.exitValue();
    // The JDK folds a signal into the exit value as shells do.
    return Optional.of(
        value > SIGNALLED
            ? "was killed by " + Signals.name(value - SIGNALLED)
            : "ended with exit code " + value);
  }

  /** Asks it to end, by SIGTERM; {@link #close} waits for that. */
  public void terminate() {
    process.destroy();
  }

  /** Closes its stdin, and leaves it to itself. */
  public void letGo() {
    try {
      process.getOutputStream().close();
    } catch (IOException e) {
      // The pipe was broken already: the process is ending by itself.
      LOG.debug("event=stdin_close_failed name={} pid={} error=\"{}\"", name, pid(), e.toString());
    }
  }

  @Override
  public void close() {
    letGo();
    if (!waitFor(grace)) {
      process.destroy();
      if (!waitFor(grace)) {
        LOG.warn("event=subprocess_killed name={} pid={} reason=\"ignored SIGTERM\"", name, pid());
        process.destroyForcibly();
        waitFor(grace);
      }
    }
    join(stderrReader);
    LOG.debug("event=subprocess_ended name={} pid={}", name, pid());
  }

  private boolean waitFor(Duration wait) {
    boolean interrupted = false;
    Deadline deadline = Deadline.after(wait);
    try {
      while (true) {
        try {
          return process.waitFor(Math.max(0, deadline.leftNanos()), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
          // Cleaning up must finish; the caller sees the interrupt afterwards.
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void join(Thread thread) {
    try {
      thread.join(grace);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void readStderr() {
    byte[] buffer = new byte[4_096];
    try (InputStream stderr = process.getErrorStream()) {
      for (int n = stderr.read(buffer); n >= 0; n = stderr.read(buffer)) {
        synchronized (tail) {
          tail.append(new String(buffer, 0, n, UTF_8));
          tail.delete(0, Math.max(0, tail.length() - TAIL));
        }
      }
    } catch (IOException e) {
      LOG.debug("event=stderr_lost name={} pid={} error=\"{}\"", name, pid(), e.toString());
    }
  }
}
