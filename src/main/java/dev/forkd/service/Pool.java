package dev.forkd.service;

import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.IntFunction;
import java.util.function.IntSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Children of one template that were forked ahead, have answered, and belong to nobody yet. At most
 * {@code size} are parked; one background thread at a time forks what is missing, in small batches
 * so that a foreground fork does not wait long behind it.
 */
final class Pool {
  private static final Logger LOG = LoggerFactory.getLogger(Pool.class);
  private static final int BATCH = 16;
  private static final Duration WAKE_DEADLINE = Duration.ofSeconds(10);

  /** Forks n parked children, or throws. */
  interface Source extends IntFunction<List<Child>> {}

  private final Tag tag;
  private final int size;
  private final Source source;
  private final IntSupplier room;
  private final Forks forks;
  private final Deque<Child> parked = new ArrayDeque<>();
  private boolean filling;
  private boolean closed;

  /** A pool; {@code room} tells how many more children there is memory for. */
  Pool(Tag tag, int size, Source source, IntSupplier room, Forks forks) {
    this.tag = tag;
    this.size = size;
    this.source = source;
    this.room = room;
    this.forks = forks;
  }

  /** How many are parked. */
  synchronized int parked() {
    return parked.size();
  }

  /**
   * Takes up to {@code n} children that have just answered again; those that do not are ended.
   *
   * @param runtime what a child's runtime must be
   */
  List<Child> take(int n, Pong.RuntimeState runtime) {
    List<Child> taken = new ArrayList<>();
    synchronized (this) {
      while (taken.size() < n && !parked.isEmpty()) {
        taken.add(parked.poll());
      }
    }
    if (taken.isEmpty()) {
      return taken;
    }
    Collection<Child> alive = new ConcurrentLinkedQueue<>();
    Together.each(
        taken,
        child -> {
          if (answers(child, runtime)) {
            alive.add(child);
          } else {
            forks.discard(child.row().id(), child.guest());
          }
        });
    return List.copyOf(alive);
  }

  private static boolean answers(Child child, Pong.RuntimeState runtime) {
    try {
      return child.guest().wake(WAKE_DEADLINE) == runtime;
    } catch (ForkdException e) {
      LOG.warn("event=pool_dropped id={} reason=\"{}\"", child.row().id(), e.getMessage());
      return false;
    }
  }

  /** Starts forking what is missing, unless that is going on already. */
  void refill() {
    synchronized (this) {
      if (closed || filling || parked.size() >= size) {
        return;
      }
      filling = true;
    }
    Thread.ofVirtual().name("pool-" + tag).start(this::fill);
  }

  private void fill() {
    try {
      for (int n = nextBatch(); n > 0; n = nextBatch()) {
        park(stopped(source.apply(n)));
      }
    } catch (ForkdException e) {
      // The next fork starts the next attempt: a template that cannot fork must not spin here.
      LOG.warn("event=pool_stopped tag={} reason=\"{}\"", tag, e.getMessage());
      synchronized (this) {
        filling = false;
      }
    }
  }

  // Ends the filling in the same step that finds nothing missing: a take in between is seen.
  private synchronized int nextBatch() {
    int missing = closed ? 0 : Math.min(size - parked.size(), room.getAsInt());
    filling = missing > 0;
    return Math.min(missing, BATCH);
  }

  private List<Child> stopped(List<Child> children) {
    Collection<Child> stopped = new ConcurrentLinkedQueue<>();
    Together.each(
        children,
        child -> {
          try {
            child.guest().park();
            stopped.add(child);
          } catch (ForkdException e) {
            LOG.warn("event=pool_dropped id={} reason=\"{}\"", child.row().id(), e.getMessage());
            forks.discard(child.row().id(), child.guest());
          }
        });
    return List.copyOf(stopped);
  }

  private void park(List<Child> children) {
    boolean late;
    synchronized (this) {
      late = closed;
      if (!late) {
        parked.addAll(children);
      }
    }
    if (late) {
      discard(children);
      return;
    }
    for (Child child : children) {
      child
          .guest()
          .ended()
          .thenAccept(why -> Thread.startVirtualThread(() -> drop(child.row().id(), why)));
    }
    LOG.info("event=pool_parked tag={} added={} parked={}", tag, children.size(), parked());
  }

  private void drop(SandboxId id, String why) {
    List<Child> dead;
    synchronized (this) {
      dead = parked.stream().filter(child -> child.row().id().equals(id)).toList();
      parked.removeAll(dead);
    }
    if (!dead.isEmpty()) {
      LOG.warn("event=pool_dropped id={} reason=\"{}\"", id, why);
      discard(dead);
    }
  }

  private void discard(List<Child> children) {
    if (!children.isEmpty()) {
      Together.each(children, child -> forks.discard(child.row().id(), child.guest()));
    }
  }

  /** Ends all parked children; what a running refill still makes is ended too. */
  void close() {
    List<Child> left;
    synchronized (this) {
      closed = true;
      left = List.copyOf(parked);
      parked.clear();
    }
    discard(left);
  }
}
