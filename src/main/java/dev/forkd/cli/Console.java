package dev.forkd.cli;

import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Map;

/**
 * The world of a command: its streams, environment, directory and signals.
 *
 * @param in standard input; nothing is consumed before the first read
 * @param out standard output
 * @param err standard error
 * @param env environment variables of the caller
 * @param cwd directory that relative paths start from
 * @param terminal which of the streams are terminals
 * @param screen the terminal that the input comes from
 * @param signals what the caller's process was sent
 */
public record Console(
    InputStream in,
    PrintStream out,
    PrintStream err,
    Map<String, String> env,
    Path cwd,
    Terminal terminal,
    Screen screen,
    Signals signals) {
  /** Input of a caller that has none, such as /dev/null: programs are not offered any. */
  public static final InputStream NO_INPUT = new NoInput();

  private static final class NoInput extends InputStream {
    @Override
    public int read() {
      return -1;
    }
  }

  public Console {
    env = Map.copyOf(env);
  }

  /**
   * Which streams are terminals.
   *
   * @param columns width of the terminal
   */
  public record Terminal(boolean in, boolean out, boolean err, int columns) {
    /** No terminal at all. */
    public static final Terminal NONE = new Terminal(false, false, false, 80);

    /**
     * As told by a caller.
     *
     * @param bits three digits for in, out and err: 1 = a terminal
     * @param width columns, as in COLUMNS
     */
    public static Terminal of(String bits, String width) {
      if (!bits.matches("[01]{3}")) {
        return NONE;
      }
      return new Terminal(
          bits.charAt(0) == '1',
          bits.charAt(1) == '1',
          bits.charAt(2) == '1',
          width.matches("[1-9][0-9]{1,3}") ? Integer.parseInt(width) : NONE.columns);
    }
  }

  /** Whether there may be something to read. */
  boolean hasInput() {
    return !(in instanceof NoInput);
  }

  /** An environment variable; "" when it is unset. */
  String env(String name) {
    return env.getOrDefault(name, "");
  }

  /** The path that the caller means. */
  Path path(String text) {
    return cwd.resolve(text).normalize();
  }
}
