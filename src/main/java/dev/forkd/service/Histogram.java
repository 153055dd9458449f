package dev.forkd.service;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.DoubleAdder;

/** Durations counted into fixed buckets, 1 ms to 5 min, as Prometheus reads them. Thread-safe. */
final class Histogram {
  private static final double[] BOUNDS = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300
  };

  private final AtomicLongArray counts = new AtomicLongArray(BOUNDS.length + 1);
  private final DoubleAdder sum = new DoubleAdder();

  void observe(double seconds) {
    int bucket = 0;
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]) {
      bucket++;
    }
    counts.incrementAndGet(bucket);
    sum.add(seconds);
  }

  /**
   * Appends the series.
   *
   * @param labels such as {@code kind="exec"}, or ""
   */
  void write(StringBuilder out, String name, String labels) {
    String comma = labels.isEmpty() ? "" : labels + ",";
    String braces = labels.isEmpty() ? "" : "{" + labels + "}";
    long total = 0;
    for (int bucket = 0; bucket <= BOUNDS.length; bucket++) {
      total += counts.get(bucket);
      String bound = bucket < BOUNDS.length ? Double.toString(BOUNDS[bucket]) : "+Inf";
      out.append("%s_bucket{%sle=\"%s\"} %d%n".formatted(name, comma, bound, total));
    }
    out.append("%s_sum%s %s%n".formatted(name, braces, sum.sum()));
    out.append("%s_count%s %d%n".formatted(name, braces, total));
  }
}
