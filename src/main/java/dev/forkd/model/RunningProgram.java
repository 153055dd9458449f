package dev.forkd.model;

import java.time.Duration;
import java.util.Optional;

/**
 * A program inside a sandbox, owned by whoever started it. {@link #close} ends the process group if
 * it still runs. Output that is not taken makes the program wait: it is never dropped.
 */
public interface RunningProgram extends AutoCloseable {
  /** Process id inside the sandbox. */
  long pid();

  /**
   * The next event; blocks until there is one.
   *
   * @throws ForkdException TIMEOUT after {@code deadline}; ENGINE when the sandbox ended
   */
  ProgramEvent next(Duration deadline);

  /** The next event; empty when there is none within {@code patience}. */
  default Optional<ProgramEvent> poll(Duration patience) {
    try {
      return Optional.of(next(patience));
    } catch (ForkdException e) {
      if (e.kind() == FailureKind.TIMEOUT) {
        return Optional.empty();
      }
      throw e;
    }
  }

  /** Sends bytes to its stdin; blocks while the program does not read. */
  void write(byte[] bytes, int offset, int length);

  /** Ends its stdin. */
  void closeInput();

  /** Sends a signal to its process group. */
  void signal(int number);

  /**
   * Tells its terminal's size.
   *
   * @throws ForkdException INVALID when it has none
   */
  void resize(TerminalSize size);

  @Override
  void close();
}
