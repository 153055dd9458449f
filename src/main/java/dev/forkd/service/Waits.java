package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.store.Registry;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Supplier;

/** Waits for a state, woken by the event log: every change of state is in it. */
final class Waits {
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Registry registry;

  Waits(Snapshots snapshots, Sandboxes sandboxes, Registry registry) {
    this.snapshots = snapshots;
    this.sandboxes = sandboxes;
    this.registry = registry;
  }

  SandboxInfo sandbox(Request.AwaitSandbox request) {
    if (!request.ended()) {
      return ready(request);
    }
    return until(
        "sandbox " + request.id() + " has not ended",
        request.timeout(),
        () ->
            Optional.of(sandboxes.get(request.id()))
                .filter(info -> info.state() == SandboxInfo.State.ENDED));
  }

  private SandboxInfo ready(Request.AwaitSandbox request) {
    Sandbox.Running running = sandboxes.running(request.id());
    Pong pong = running.guest().ping(request.timeout());
    if (pong.runtime() == Pong.RuntimeState.ENDED) {
      throw new ForkdException(
          FailureKind.CONFLICT, "sandbox " + request.id() + ": its runtime has ended");
    }
    return sandboxes.get(request.id());
  }

  SnapshotInfo snapshot(Request.AwaitSnapshot request) {
    return until(
        "snapshot " + request.tag() + " is still being written",
        request.timeout(),
        () ->
            Optional.of(snapshots.get(request.tag()))
                .filter(info -> info.status() != SnapshotStatus.WRITING));
  }

  private <T> T until(String otherwise, Duration timeout, Supplier<Optional<T>> state) {
    long end = System.nanoTime() + timeout.toNanos();
    while (true) {
      // The number first: a change between the look and the wait is behind it, and wakes us.
      long newest = registry.newestEvent();
      Optional<T> reached = state.get();
      if (reached.isPresent()) {
        return reached.get();
      }
      long left = end - System.nanoTime();
      if (left <= 0) {
        throw new ForkdException(
            FailureKind.TIMEOUT, otherwise + " after " + timeout.toMillis() + " ms");
      }
      registry.follow(newest, Duration.ofNanos(left));
      if (Thread.currentThread().isInterrupted()) {
        throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon is stopping");
      }
    }
  }
}
