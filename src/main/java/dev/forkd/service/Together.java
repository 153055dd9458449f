package dev.forkd.service;

import dev.forkd.engine.Guest;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;

/** The same blocking work on many things at once, each on a virtual thread of its own. */
final class Together {
  private Together() {}

  /**
   * Does the work for every item and waits for all of it. The work itself must be bounded in time.
   *
   * @throws RuntimeException the first failure, with the others suppressed, after all have ended
   */
  static <T> void each(Collection<T> items, Consumer<T> work) {
    if (items.size() == 1) {
      items.forEach(work);
      return;
    }
    List<Future<?>> running = new ArrayList<>(items.size());
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      items.forEach(item -> running.add(threads.submit(() -> work.accept(item))));
    }
    List<RuntimeException> failures = new ArrayList<>();
    for (Future<?> each : running) {
      collect(each, failures);
    }
    if (!failures.isEmpty()) {
      RuntimeException first = failures.removeFirst();
      failures.forEach(first::addSuppressed);
      throw first;
    }
  }

  private static void collect(Future<?> done, List<RuntimeException> failures) {
    try {
      done.get();
    } catch (ExecutionException e) {
      failures.add(
          e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      failures.add(new IllegalStateException("interrupted", e));
    }
  }

  /** Destroys all of them. */
  static void closeAll(Collection<Guest> guests) {
    each(guests, Guest::close);
  }
}
