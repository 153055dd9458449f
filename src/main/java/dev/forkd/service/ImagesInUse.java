package dev.forkd.service;

import dev.forkd.model.ForkdException;
import dev.forkd.store.SnapshotRow;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which root file systems are needed, and the removal of those that are not.
 *
 * <p>An image is needed by the snapshots that name it, and by the templates that stand on it, which
 * may outlive their snapshot. While one is being prepared nobody can tell which it will be, so
 * nothing is removed then, but afterwards. Thread-safe.
 */
final class ImagesInUse {
  private static final Logger LOG = LoggerFactory.getLogger(ImagesInUse.class);

  private final Parts parts;
  private final Map<String, Integer> templates = new ConcurrentHashMap<>();

  /** To be looked at again when nothing is being prepared any more. */
  private final Set<String> postponed = ConcurrentHashMap.newKeySet();

  /** Shared by those who prepare; tried by who removes, one at a time. */
  private final ReadWriteLock gate = new ReentrantReadWriteLock();

  ImagesInUse(Parts parts) {
    this.parts = parts;
  }

  /** The need of one template for its image. */
  interface Hold extends AutoCloseable {
    /** The image goes with the last that needs it. */
    @Override
    void close();
  }

  /** Keeps an image that is there. */
  Hold hold(String digest) {
    templates.merge(digest, 1, Integer::sum);
    return () -> {
      templates.computeIfPresent(digest, (_, n) -> n == 1 ? null : n - 1);
      drop(digest);
    };
  }

  /** Prepares an image and gives it to somebody who needs it; none is removed meanwhile. */
  <T> T preparing(Supplier<T> work) {
    Waiting.lock(gate.readLock(), "unused images to be removed");
    try {
      return work.get();
    } finally {
      gate.readLock().unlock();
      Set.copyOf(postponed).forEach(this::drop);
    }
  }

  /** Removes an image if nobody needs it, as soon as that can be told; "" = none. */
  synchronized void drop(String digest) {
    if (digest.isEmpty()) {
      return;
    }
    if (!gate.writeLock().tryLock()) {
      postponed.add(digest);
      return;
    }
    try {
      postponed.remove(digest);
      if (!needed().contains(digest)) {
        parts.images().remove(digest);
      }
    } catch (ForkdException e) {
      LOG.error("event=image_not_removed digest={} reason=\"{}\"", digest, e.getMessage());
    } finally {
      gate.writeLock().unlock();
    }
  }

  /**
   * Removes all images that nobody needs.
   *
   * @return how many; 0 also when one is being prepared
   */
  synchronized int sweep() {
    if (!gate.writeLock().tryLock()) {
      return 0;
    }
    try {
      Set<String> needed = needed();
      // A registry that was lost must not take the images with it.
      return needed.isEmpty() ? 0 : parts.images().retain(needed);
    } finally {
      gate.writeLock().unlock();
    }
  }

  private Set<String> needed() {
    Set<String> needed = new HashSet<>(templates.keySet());
    needed.addAll(
        parts.registry().snapshots().stream()
            .map(SnapshotRow::imageDigest)
            .filter(digest -> !digest.isEmpty())
            .collect(Collectors.toSet()));
    return needed;
  }
}
