package dev.forkd.client;

import java.net.SocketTimeoutException;
import java.time.Duration;

/** A point in time that waits end at. */
record Deadline(long nanoTime, Duration length) {
  static Deadline in(Duration length) {
    return new Deadline(System.nanoTime() + length.toNanos(), length);
  }

  /** Milliseconds left, at least 1. */
  long millisLeft() throws SocketTimeoutException {
    long left = nanoTime - System.nanoTime();
    if (left <= 0) {
      throw new SocketTimeoutException("no answer within " + seconds());
    }
    return Math.max(1, left / 1_000_000);
  }

  String seconds() {
    long millis = length.toMillis();
    return millis % 1000 == 0 ? millis / 1000 + " s" : millis + " ms";
  }
}
