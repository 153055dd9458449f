package dev.forkd.service;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks for sandboxes whose time is over, and for what nobody needs any more. One look is a walk
 * through memory; the ends are not.
 */
final class Reaper implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Reaper.class);

  /** How late an end may be. */
  private static final long EVERY_MILLIS = 250;

  /** Two threads: removing a large tree must not make an end late. */
  private final ScheduledExecutorService clock =
      Executors.newScheduledThreadPool(
          2, Thread.ofPlatform().name("reaper-", 0).daemon().factory());

  private final Future<?> looking;
  private volatile Future<?> sweeping = CompletableFuture.completedFuture(null);

  Reaper(Runnable look) {
    this.looking =
        clock.scheduleWithFixedDelay(
            () -> guarded(look), EVERY_MILLIS, EVERY_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** Sweeps again and again from now on; not at all when {@code every} is zero. */
  void sweep(Runnable sweep, Duration every) {
    if (!every.isZero()) {
      long millis = every.toMillis();
      sweeping =
          clock.scheduleWithFixedDelay(() -> guarded(sweep), millis, millis, TimeUnit.MILLISECONDS);
    }
  }

  // An exception would end the schedule, and with it every expiry, without a word.
  private static void guarded(Runnable look) {
    try {
      look.run();
    } catch (RuntimeException e) {
      LOG.error("event=reaper_failed", e);
    }
  }

  @Override
  public void close() {
    looking.cancel(false);
    sweeping.cancel(false);
    clock.shutdownNow();
  }
}
