package dev.forkd.host;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.lang.management.MemoryUsage;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the heap of a daemon that runs for months near what lives in it. The serial collector lets
 * the old generation grow to its maximum before it looks through it, and what gets there under load
 * are mostly stacks of virtual threads that nobody needs any more: all of that would stay resident.
 * A look is free; a collection takes some tens of milliseconds and comes when there is much to
 * gain.
 */
public final class HeapTrim implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(HeapTrim.class);
  private static final long WORTH_IT = 24 << 20;
  private static final long EVERY_SECONDS = 10;

  private final MemoryPoolMXBean old;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("heap-trim").daemon().factory());

  private final Future<?> looking;

  private HeapTrim(MemoryPoolMXBean old) {
    this.old = old;
    this.looking =
        clock.scheduleWithFixedDelay(this::look, EVERY_SECONDS, EVERY_SECONDS, TimeUnit.SECONDS);
  }

  /** Begins to look; with another collector than the serial one there is nothing to do. */
  public static Optional<HeapTrim> start() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP && pool.getName().contains("Tenured"))
        .findFirst()
        .map(HeapTrim::new);
  }

  private void look() {
    long used = old.getUsage().getUsed();
    MemoryUsage lived = old.getCollectionUsage();
    if (used - lived.getUsed() > WORTH_IT) {
      long began = System.nanoTime();
      System.gc();
      LOG.info(
          "event=heap_trimmed before_kib={} after_kib={} ms={}",
          used >> 10,
          old.getUsage().getUsed() >> 10,
          (System.nanoTime() - began) / 1_000_000);
    }
  }

  @Override
  public void close() {
    looking.cancel(false);
    clock.shutdownNow();
  }
}
