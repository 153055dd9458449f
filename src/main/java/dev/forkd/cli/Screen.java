package dev.forkd.cli;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.TerminalSize;
import java.util.function.Consumer;

/** The terminal that the caller's input comes from. */
public interface Screen {
  /** Gives the terminal back as it was. */
  interface Raw extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Hands every key on as it comes, ^C included, until the result is closed.
   *
   * @param sized hears the size, soon, and again when it changes where that can be known
   * @throws ForkdException UNSUPPORTED when there is no terminal
   */
  Raw raw(Consumer<TerminalSize> sized);

  /** No terminal. */
  Screen NONE =
      sized -> {
        throw new ForkdException(
            FailureKind.UNSUPPORTED, "standard input is no terminal: leave -t away");
      };
}
