package dev.forkd.host;

import java.time.Duration;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Runs something when a piece of work takes too long: the way to put a deadline on a call that has
 * none of its own, such as a write to a socket. Close it when the work is done.
 */
public final class Watchdog implements AutoCloseable {
  private static final ScheduledThreadPoolExecutor TIMER = timer();

  private final Future<?> bite;

  private Watchdog(Future<?> bite) {
    this.bite = bite;
  }

  /**
   * Calls {@code late} on a virtual thread of its own unless the result is closed within {@code
   * wait}.
   */
  public static Watchdog after(Duration wait, Runnable late) {
    return new Watchdog(
        TIMER.schedule(
            () -> Thread.ofVirtual().name("watchdog").start(late),
            wait.toNanos(),
            TimeUnit.NANOSECONDS));
  }

  private static ScheduledThreadPoolExecutor timer() {
    ScheduledThreadPoolExecutor timer =
        new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().daemon().name("watchdog-timer").factory());
    timer.setRemoveOnCancelPolicy(true);
    return timer;
  }

  @Override
  public void close() {
    bite.cancel(false);
  }
}
