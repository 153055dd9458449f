package dev.forkd.api;

import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import java.io.InputStream;
import java.time.Duration;

/** What comes from the other side of a connection into a sandbox. Used by one thread. */
final class ConnectionInput extends InputStream {
  /** How long the other side may be silent. */
  private static final Duration SILENCE = Duration.ofMinutes(10);

  private final RunningProgram connection;
  private byte[] bytes = new byte[0];
  private int next;
  private boolean ended;

  ConnectionInput(RunningProgram connection) {
    this.connection = connection;
  }

  @Override
  public int read() {
    return isThere() ? bytes[next++] & 0xff : -1;
  }

  /**
   * As of every stream.
   *
   * @throws ForkdException TIMEOUT after ten silent minutes, ENGINE when the sandbox has ended
   */
  @Override
  public int read(byte[] to, int offset, int length) {
    if (length == 0) {
      return 0;
    }
    if (!isThere()) {
      return -1;
    }
    int n = Math.min(length, bytes.length - next);
    System.arraycopy(bytes, next, to, offset, n);
    next += n;
    return n;
  }

  private boolean isThere() {
    while (next == bytes.length && !ended) {
      switch (connection.next(SILENCE)) {
        case ProgramEvent.Output output when output.stream() == 1 -> take(output.bytes());
        case ProgramEvent.Output _ -> {}
        case ProgramEvent.Exited _ -> ended = true;
      }
    }
    return next < bytes.length;
  }

  private void take(byte[] more) {
    bytes = more;
    next = 0;
  }
}
