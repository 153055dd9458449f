package dev.forkd.service;

/** Elapsed time as people and logs want it. */
final class Durations {
  private Durations() {}

  /** Whole milliseconds since a {@link System#nanoTime} value. */
  static long millisSince(long began) {
    return (System.nanoTime() - began) / 1_000_000;
  }

  /** Seconds since a {@link System#nanoTime} value. */
  static double secondsSince(long began) {
    return (System.nanoTime() - began) / 1e9;
  }
}
