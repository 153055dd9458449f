package dev.forkd.host;

import java.time.Duration;

/**
 * A point in time of this process's monotonic clock.
 *
 * @param nanos as {@link System#nanoTime} tells
 */
public record Deadline(long nanos) {
  private static final Duration LONGEST = Duration.ofDays(3650);

  /** The time that is {@code wait} from now; ten years at the most, so that nothing overflows. */
  public static Deadline after(Duration wait) {
    Duration bounded = wait.compareTo(LONGEST) > 0 ? LONGEST : wait;
    return new Deadline(System.nanoTime() + bounded.toNanos());
  }

  /** Nanoseconds that are left; zero or negative once it has passed. */
  public long leftNanos() {
    return nanos - System.nanoTime();
  }

  /** What is left, never negative. */
  public Duration left() {
    return Duration.ofNanos(Math.max(0, leftNanos()));
  }

  /** Whether it has passed. */
  public boolean passed() {
    return leftNanos() <= 0;
  }

  /** The later of the two. */
  public Deadline later(Deadline other) {
    return other.nanos - nanos > 0 ? other : this;
  }
}
