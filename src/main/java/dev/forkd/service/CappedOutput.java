package dev.forkd.service;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Output of a program up to a bound; what comes after is counted as lost. */
final class CappedOutput {
  /** Bytes kept per stream. */
  static final int MAX_BYTES = 8 << 20;

  private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
  private boolean truncated;

  void add(byte[] bytes) {
    int room = Math.min(bytes.length, MAX_BYTES - kept.size());
    kept.write(bytes, 0, room);
    truncated |= room < bytes.length;
  }

  boolean truncated() {
    return truncated;
  }

  /** What was kept; bytes that are not UTF-8 become replacement characters. */
  String text() {
    return kept.toString(StandardCharsets.UTF_8);
  }
}
