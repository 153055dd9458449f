package dev.forkd.cli;

import java.util.Locale;

/**
 * What a long command is doing, on standard error: one line that is rewritten when that is a
 * terminal, plain lines when it is not.
 */
final class Progress implements AutoCloseable {
  private static final String CLEAR = "\r\033[K";
  private static final long QUIET_NANOS = 1_000_000_000L;
  private static final int BAR = 24;

  private final Console console;
  private final long start;
  private boolean drawn;
  private String last = "";

  Progress(Console console) {
    this(console, System.nanoTime());
  }

  /** Of work that began at that {@link System#nanoTime}. */
  Progress(Console console, long start) {
    this.console = console;
    this.start = start;
  }

  /** A line that stays. */
  synchronized void log(String line) {
    clear();
    console.err().println(Table.printable(line));
    console.err().flush();
  }

  /** What is done now; {@code total} is 0 when nobody knows. */
  synchronized void phase(String message, long done, long total) {
    String line = Table.printable(message);
    if (!console.terminal().err()) {
      if (!line.equals(last)) {
        console.err().println(line);
        console.err().flush();
      }
      last = line;
      return;
    }
    if (System.nanoTime() - start < QUIET_NANOS) {
      return; // what is over at once needs no bar
    }
    String bar = total > 0 ? bar(done, total) + " " : "";
    double seconds = (System.nanoTime() - start) / 1e9;
    String text = "%s%s  %.0f s".formatted(bar, line, seconds);
    int width = Math.max(20, console.terminal().columns()) - 1;
    console.err().print(CLEAR + text.substring(0, Math.min(text.length(), width)));
    console.err().flush();
    drawn = true;
  }

  private static String bar(long done, long total) {
    int filled = Math.clamp(done * BAR / total, 0, BAR);
    String counts = String.format(Locale.ROOT, " %d/%d", done, total);
    return "[" + "#".repeat(filled) + " ".repeat(BAR - filled) + "]" + counts;
  }

  private void clear() {
    if (drawn) {
      console.err().print(CLEAR);
      drawn = false;
    }
  }

  @Override
  public synchronized void close() {
    clear();
    console.err().flush();
  }
}
