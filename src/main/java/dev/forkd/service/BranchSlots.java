package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.time.Duration;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/** How many branches are made at once, and that no two make one tag or stop one sandbox. */
final class BranchSlots {
  private final int cap;
  private final Set<Tag> tags = new HashSet<>();
  private final Set<SandboxId> sandboxes = new HashSet<>();
  private boolean closed;

  /** At most {@code cap} branches at once. */
  BranchSlots(int cap) {
    if (cap < 1) {
      throw new ForkdException(
          FailureKind.INVALID, "branch concurrency is " + cap + "; it must be at least 1");
    }
    this.cap = cap;
  }

  int cap() {
    return cap;
  }

  synchronized int inFlight() {
    return tags.size();
  }

  /** The right to make a snapshot of that tag; closing it twice does nothing. */
  final class Slot implements AutoCloseable {
    private final Tag tag;
    private Optional<SandboxId> sandbox = Optional.empty();
    private boolean given;

    private Slot(Tag tag) {
      this.tag = tag;
    }

    /** Fails when the sandbox is being branched already. */
    void stop(SandboxId id) {
      synchronized (BranchSlots.this) {
        if (!sandboxes.add(id)) {
          throw new ForkdException(
              FailureKind.CONFLICT,
              "sandbox " + id + " is being branched by another request; retry once it completes");
        }
        sandbox = Optional.of(id);
      }
    }

    @Override
    public void close() {
      synchronized (BranchSlots.this) {
        if (!given) {
          given = true;
          tags.remove(tag);
          sandbox.ifPresent(sandboxes::remove);
          BranchSlots.this.notifyAll();
        }
      }
    }
  }

  /**
   * Takes a slot.
   *
   * @throws ForkdException EXHAUSTED when all are taken, CONFLICT when that tag has one
   */
  synchronized Slot take(Tag tag) {
    if (closed) {
      throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon is stopping");
    }
    if (tags.contains(tag)) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "branch for tag '" + tag + "' is already in progress; retry once it completes");
    }
    if (tags.size() >= cap) {
      throw new ForkdException(
          FailureKind.EXHAUSTED,
          "daemon is at its branch concurrency cap (" + cap + "); retry shortly");
    }
    tags.add(tag);
    return new Slot(tag);
  }

  /** No more slots are given. */
  synchronized void close() {
    closed = true;
  }

  /** Waits until every slot was given back; false when the deadline passed before. */
  synchronized boolean awaitNone(Duration deadline) {
    long end = System.nanoTime() + deadline.toNanos();
    try {
      for (long left = deadline.toMillis(); !tags.isEmpty(); ) {
        if (left <= 0) {
          return false;
        }
        wait(left);
        left = (end - System.nanoTime()) / 1_000_000;
      }
      return true;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
