package dev.forkd.engine.vm;

import java.util.Locale;

/** How long each step of one thing took, for its line in the log. */
final class Laps {
  private final StringBuilder text = new StringBuilder();
  private long last = System.nanoTime();

  /** The step of that name has just ended. */
  void mark(String step) {
    long now = System.nanoTime();
    text.append(
        String.format(
            Locale.ROOT, "%s%s_ms=%.1f", text.isEmpty() ? "" : " ", step, (now - last) / 1e6));
    last = now;
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
