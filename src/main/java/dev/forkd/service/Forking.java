package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxInfo;
import dev.forkd.store.SandboxRow;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One fork request from lease to commit: parked children first, the rest in one plan. */
final class Forking {
  private static final Logger LOG = LoggerFactory.getLogger(Forking.class);
  private static final long MIB = 1 << 20;

  private final Parts parts;
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Forks forks;
  private final Networking networking;
  private final Metrics metrics;

  Forking(
      Parts parts,
      Snapshots snapshots,
      Sandboxes sandboxes,
      Forks forks,
      Networking networking,
      Metrics metrics) {
    this.parts = parts;
    this.snapshots = snapshots;
    this.sandboxes = sandboxes;
    this.forks = forks;
    this.networking = networking;
    this.metrics = metrics;
  }

  /** All n sandboxes, each of which has answered; or none. */
  List<SandboxInfo> fork(Request.Fork request) {
    sandboxes.checkNames(request.options(), request.n());
    try (Lease lease = snapshots.lease(request.tag())) {
      checkCleared(request, lease);
      WarmTemplate template = lease.template();
      try {
        return fork(request, lease, template);
      } finally {
        template.release();
        template.pool().refill();
      }
    }
  }

  private static void checkCleared(Request.Fork request, Lease lease) {
    if (lease.secrets() && !request.cleared()) {
      throw new ForkdException(
          FailureKind.FORBIDDEN,
          ("snapshot %s holds secrets: a token of scope use forks it only with `secrets` in its"
                  + " line of the token file")
              .formatted(lease.tag()));
    }
  }

  private List<SandboxInfo> fork(Request.Fork request, Lease lease, WarmTemplate template) {
    long began = System.nanoTime();
    Limits usual = template.recipe().limits();
    Limits limits = limits(request, usual);
    List<Child> children = new ArrayList<>();
    if (limits.equals(usual)) {
      children.addAll(fromPool(request.n(), template, began));
    }
    int pooled = children.size();
    try {
      if (pooled < request.n()) {
        children.addAll(forked(request.n() - pooled, limits, lease, template, began));
      }
      networking.connect(children, Networking.wanted(request, template.recipe()));
      List<SandboxInfo> infos = sandboxes.commit(children, template, request.options());
      double seconds = Durations.secondsSince(began);
      metrics.forked(request.tag(), lease.engine(), request.n(), pooled, seconds);
      LOG.info(
          "event=sandboxes_forked tag={} n={} pooled={} first={} ms={}",
          request.tag(),
          request.n(),
          pooled,
          infos.getFirst().id(),
          Durations.millisSince(began));
      return infos;
    } catch (RuntimeException e) {
      metrics.forkFailed();
      discard(children);
      throw e;
    }
  }

  private List<Child> forked(int n, Limits limits, Lease lease, WarmTemplate template, long began) {
    double before = Durations.secondsSince(began) * 1e3;
    List<Child> forked =
        forks.fork(
            lease.tag(), lease.engine(), template.template(), n, limits, SandboxRow.State.RUNNING);
    return forked.stream()
        .map(child -> new Child(child.row(), child.guest(), before + child.readyMs()))
        .toList();
  }

  private List<Child> fromPool(int n, WarmTemplate template, long began) {
    Pong.RuntimeState wanted =
        template.recipe().runtime().isPresent() ? Pong.RuntimeState.READY : Pong.RuntimeState.NONE;
    long now = parts.unixSeconds();
    List<Child> taken = template.pool().take(n, wanted);
    double millis = Durations.secondsSince(began) * 1e3;
    List<Child> given =
        taken.stream()
            .map(child -> new Child(child.row().given(now), child.guest(), millis))
            .toList();
    if (given.isEmpty()) {
      return given;
    }
    try {
      parts.registry().journal(given.stream().map(Child::row).toList());
      return given;
    } catch (RuntimeException e) {
      discard(given);
      throw e;
    }
  }

  private void discard(List<Child> children) {
    if (!children.isEmpty()) {
      Together.each(children, child -> forks.discard(child.row().id(), child.guest()));
    }
  }

  private static Limits limits(Request.Fork request, Limits usual) {
    if (request.memoryLimitMib().isEmpty()) {
      return usual;
    }
    long mib = request.memoryLimitMib().getAsLong();
    if (mib < 4 || mib > Long.MAX_VALUE / MIB) {
      throw new ForkdException(
          FailureKind.INVALID,
          "memory_limit_mib is "
              + mib
              + "; give a number of MiB that is at least 4, or leave it out");
    }
    return usual.withMemoryBytes(mib * MIB);
  }
}
