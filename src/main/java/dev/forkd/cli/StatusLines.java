package dev.forkd.cli;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.JsonNode;

/**
 * The display of a test run at the bottom of a terminal, below what is printed meanwhile: a bar,
 * and the tests that run now. Control sequences are those of ECMA-48 and of DEC's terminals, which
 * all of today's know. Lines are not wrapped: a terminal that is made narrower cuts them.
 * Thread-safe.
 */
final class StatusLines implements AutoCloseable {
  private static final int BAR = 24;
  private static final int RUNNING = 4;

  /** One line down, in the same column; scrolls where there is none (IND). */
  private static final String DOWN = "\033D";

  private static final String SAVE = "\0337";
  private static final String RESTORE = "\0338";
  private static final String ERASE_BELOW = "\033[J";
  private static final String NO_WRAP = "\033[?7l";
  private static final String WRAP = "\033[?7h";
  private static final String DIM = "\033[2m";
  private static final String RED = "\033[31m";
  private static final String PLAIN = "\033[0m";

  private final PrintStream terminal;
  private final boolean colours;
  private List<String> lines = List.of();
  private boolean drawn;

  /**
   * Nothing is shown yet.
   *
   * @param colours whether the user wants any (no-color.org)
   */
  StatusLines(PrintStream terminal, boolean colours) {
    this.terminal = terminal;
    this.colours = colours;
  }

  /** A stream to the same terminal, whose text goes above the display. */
  PrintStream above(PrintStream to) {
    return new PrintStream(new Above(to), false, StandardCharsets.UTF_8);
  }

  private final class Above extends FilterOutputStream {
    Above(PrintStream to) {
      super(to);
    }

    @Override
    public void write(int one) throws IOException {
      write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      synchronized (StatusLines.this) {
        erase();
        out.write(bytes, offset, length);
      }
    }

    @Override
    public void flush() throws IOException {
      synchronized (StatusLines.this) {
        out.flush();
        draw();
      }
    }
  }

  /**
   * Shows how a run stands.
   *
   * @param status as {@code forkd_pytest/live.py} tells it; an empty one takes the display away
   */
  synchronized void show(JsonNode status) {
    erase();
    lines = status.isEmpty() ? List.of() : lines(status);
    draw();
  }

  private List<String> lines(JsonNode status) {
    List<String> made = new ArrayList<>();
    made.add(bar(status));
    JsonNode running = status.path("running");
    for (int i = 0; i < Math.min(RUNNING, running.size()); i++) {
      double seconds = running.path(i).path(1).asDouble(0);
      String name = Table.printable(running.path(i).path(0).asString(""));
      made.add(dim(String.format(Locale.ROOT, "%7.1f s  %s", seconds, name)));
    }
    if (running.size() > RUNNING) {
      made.add(dim("           and " + (running.size() - RUNNING) + " more"));
    }
    return made;
  }

  private String bar(JsonNode status) {
    long total = Math.max(1, status.path("total").asLong(1));
    long done = Math.clamp(status.path("done").asLong(0), 0, total);
    long failed = status.path("failed").asLong(0);
    int filled = (int) (done * BAR / total);
    String text =
        "[%s%s] %d/%d".formatted("#".repeat(filled), " ".repeat(BAR - filled), done, total);
    String failures = failed == 0 ? "" : "  " + red(failed + " failed");
    return text + failures + "  " + left(Math.round(status.path("left").asDouble(0)));
  }

  private static String left(long seconds) {
    return "about %d:%02d left".formatted(seconds / 60, seconds % 60);
  }

  private String dim(String text) {
    return colours ? DIM + text + PLAIN : text;
  }

  private String red(String text) {
    return colours ? RED + text + PLAIN : text;
  }

  private void draw() {
    if (lines.isEmpty() || drawn) {
      return;
    }
    StringBuilder text = new StringBuilder();
    text.append(DOWN.repeat(lines.size()));
    text.append("\033[").append(lines.size()).append('A').append(SAVE).append(NO_WRAP);
    for (String line : lines) {
      text.append(DOWN).append('\r').append(line).append("\033[K");
    }
    text.append(WRAP).append(RESTORE);
    terminal.print(text);
    terminal.flush();
    drawn = true;
  }

  private void erase() {
    if (drawn) {
      terminal.print(SAVE + DOWN + "\r" + ERASE_BELOW + RESTORE);
      terminal.flush();
      drawn = false;
    }
  }

  /** Takes the display away; what is printed later stands where it was. */
  @Override
  public synchronized void close() {
    erase();
    lines = List.of();
  }
}
