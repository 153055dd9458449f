package dev.forkd.service;

import dev.forkd.model.SandboxOptions;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * How long a sandbox may live, and whether code runs in it. On the monotonic clock, so that a step
 * of the wall clock neither ends a sandbox nor keeps it. Thread-safe.
 */
final class Lifetime {
  /** While it is open the sandbox is not idle. */
  interface Use extends AutoCloseable {
    @Override
    void close();
  }

  private SandboxOptions options;
  private long since = System.nanoTime();
  private long lastUse = since;
  private int uses;

  Lifetime(SandboxOptions options) {
    this.options = options;
  }

  /** Of a sandbox that was taken over; it is used at this moment. */
  Lifetime(SandboxOptions options, long sinceNanos) {
    this.options = options;
    this.since = Math.min(sinceNanos, System.nanoTime());
  }

  /** When its time to live began, on the monotonic clock, which all processes of a boot share. */
  synchronized long sinceNanos() {
    return since;
  }

  synchronized SandboxOptions options() {
    return options;
  }

  /** Code begins to run. */
  synchronized Use use() {
    uses++;
    return this::unused;
  }

  private synchronized void unused() {
    uses--;
    lastUse = System.nanoTime();
  }

  /** Both times start again, with these lengths. */
  synchronized void renew(Duration ttl, Duration idle) {
    options = options.with(ttl, idle);
    since = System.nanoTime();
    lastUse = since;
  }

  /** Why its time is over; empty while it is not. */
  synchronized Optional<String> over() {
    if (passed(since, options.ttl())) {
      return Optional.of("expired: its time to live of " + text(options.ttl()) + " has passed");
    }
    if (uses == 0 && passed(lastUse, options.idle())) {
      return Optional.of("expired: nothing ran in it for " + text(options.idle()));
    }
    return Optional.empty();
  }

  /** Milliseconds until its time to live is over, when it has one. */
  synchronized OptionalLong millisLeft() {
    return options.ttl().isZero()
        ? OptionalLong.empty()
        : OptionalLong.of(
            Math.max(0, options.ttl().toMillis() - (System.nanoTime() - since) / 1_000_000));
  }

  private static boolean passed(long from, Duration allowed) {
    return !allowed.isZero() && System.nanoTime() - from >= allowed.toNanos();
  }

  private static String text(Duration duration) {
    return duration.toMillis() % 1000 == 0
        ? duration.toSeconds() + " s"
        : duration.toMillis() + " ms";
  }
}
