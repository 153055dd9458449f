package dev.forkd.engine.process;

import dev.forkd.host.Subprocess;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;

/** The process at the other end of a launcher's channel: one that we started, or one we found. */
interface LauncherPeer extends AutoCloseable {
  /** Its process id; 0 while that is not known. */
  long pid();

  /** What it reads. */
  OutputStream stdin();

  /** What it writes. */
  InputStream stdout();

  /** How it ended, as a part of a sentence; empty when it still lives after {@code wait}. */
  Optional<String> end(Duration wait);

  /** The last that it wrote to stderr, if we hear that. */
  String stderrTail();

  /** Asks it to end. */
  void terminate();

  /** Closes the channel and leaves it to itself. */
  void letGo();

  /** Closes the channel; returns when the process is gone. */
  @Override
  void close();

  /** One that we started. */
  record Started(Subprocess process) implements LauncherPeer {
    @Override
    public long pid() {
      return process.pid();
    }

    @Override
    public OutputStream stdin() {
      return process.stdin();
    }

    @Override
    public InputStream stdout() {
      return process.stdout();
    }

    @Override
    public Optional<String> end(Duration wait) {
      return process.end(wait);
    }

    @Override
    public String stderrTail() {
      return process.stderrTail();
    }

    @Override
    public void terminate() {
      process.terminate();
    }

    @Override
    public void letGo() {
      process.letGo();
    }

    @Override
    public void close() {
      process.close();
    }
  }
}
