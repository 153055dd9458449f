package dev.forkd.model;

/**
 * The size of a terminal, in characters.
 *
 * @param rows 1 to 10 000
 * @param columns 1 to 10 000
 */
public record TerminalSize(int rows, int columns) {
  /** What a terminal has that tells no size. */
  public static final TerminalSize USUAL = new TerminalSize(24, 80);

  private static final int MAX = 10_000;

  public TerminalSize {
    if (rows < 1 || rows > MAX || columns < 1 || columns > MAX) {
      throw new ForkdException(
          FailureKind.INVALID, "a terminal has 1 to " + MAX + " rows and as many columns");
    }
  }
}
