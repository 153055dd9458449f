package dev.forkd.service;

import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks for sandboxes whose time is over. One look is a walk through memory; the ends are not. */
final class Reaper implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Reaper.class);

  /** How late an end may be. */
  private static final long EVERY_MILLIS = 250;

  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("reaper").daemon().factory());

  private final Future<?> looking;

  Reaper(Runnable look) {
    this.looking =
        clock.scheduleWithFixedDelay(
            () -> guarded(look), EVERY_MILLIS, EVERY_MILLIS, TimeUnit.MILLISECONDS);
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
    clock.shutdownNow();
  }
}
