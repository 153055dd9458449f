package dev.forkd.engine.process;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.util.function.Consumer;

/** Cuts bytes that arrive in any pieces into lines. Not thread-safe. */
final class LineSplitter {
  private static final int MAX_LINE = 4_096;

  private final Consumer<String> lines;
  private final ByteArrayOutputStream line = new ByteArrayOutputStream();

  LineSplitter(Consumer<String> lines) {
    this.lines = lines;
  }

  void add(byte[] bytes) {
    for (byte b : bytes) {
      if (b == '\n') {
        flush();
      } else {
        if (line.size() == MAX_LINE) {
          flush();
        }
        line.write(b);
      }
    }
  }

  /** Tells a last line that had no end. */
  void end() {
    if (line.size() > 0) {
      flush();
    }
  }

  private void flush() {
    lines.accept(line.toString(UTF_8).stripTrailing());
    line.reset();
  }
}
