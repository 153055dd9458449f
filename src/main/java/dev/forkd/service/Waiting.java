package dev.forkd.service;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;

/** Waiting for a lock with a deadline and an interruptible thread. */
final class Waiting {
  /** An image may have to be built first; nothing legitimate takes longer. */
  private static final long MINUTES = 60;

  private Waiting() {}

  /** Takes the lock, or throws TIMEOUT. */
  static void lock(Lock lock, String what) {
    try {
      if (!lock.tryLock(MINUTES, TimeUnit.MINUTES)) {
        throw new ForkdException(
            FailureKind.TIMEOUT, "waited " + MINUTES + " minutes for " + what + ": try again");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.UNAVAILABLE, "interrupted while waiting for " + what).thrown(e);
    }
  }
}
