package dev.forkd.service;

import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import dev.forkd.store.SandboxRow;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Forks batches: identities, journal, one plan, all children or none. Thread-safe. */
final class Forks {
  private static final Logger LOG = LoggerFactory.getLogger(Forks.class);
  private static final Duration BASE_DEADLINE = Duration.ofSeconds(60);
  private static final Duration CHILD_DEADLINE = Duration.ofSeconds(1);
  private static final long MIB = 1 << 20;

  private final Parts parts;
  private final Admission admission;
  private final SecureRandom random = new SecureRandom();
  private final AtomicLong sequence = new AtomicLong();
  private volatile Set<SandboxId> adopted = Set.of();

  Forks(Parts parts) {
    this.parts = parts;
    this.admission = new Admission(parts.registry(), parts.memoryBudgetMib());
  }

  /**
   * Forks {@code n} children; the journal names them before anything of them exists.
   *
   * @param state what they are once they have answered: PARKED or RUNNING
   * @throws ForkdException when one child failed; the others were ended
   */
  List<Child> fork(
      Tag tag, EngineName engine, Template template, int n, Limits limits, SandboxRow.State state) {
    long now = parts.unixSeconds();
    List<ForkPlan.Child> children = new ArrayList<>(n);
    List<SandboxRow> rows = new ArrayList<>(n);
    for (int i = 0; i < n; i++) {
      SandboxId id = nextId(now);
      children.add(new ForkPlan.Child(id, machineId()));
      rows.add(SandboxRow.planned(id, tag, now, engine, limits.memoryBytes() / MIB));
    }
    admission.journal(tag, rows);
    Duration deadline = BASE_DEADLINE.plus(CHILD_DEADLINE.multipliedBy(n));
    List<Child> forked = List.of();
    try {
      List<ForkOutcome> outcomes = template.fork(new ForkPlan(children, limits, deadline));
      forked = allOrNone(tag, rows, outcomes, state);
      parts.registry().journal(forked.stream().map(Child::row).toList());
      return forked;
    } catch (RuntimeException e) {
      try {
        Together.closeAll(forked.stream().map(Child::guest).toList());
      } finally {
        parts.registry().strike(rows.stream().map(SandboxRow::id).toList());
      }
      throw e;
    }
  }

  private SandboxId nextId(long now) {
    SandboxId id = SandboxId.of(now, sequence.getAndIncrement());
    while (adopted.contains(id)) {
      id = SandboxId.of(now, sequence.getAndIncrement());
    }
    return id;
  }

  /** These ids are taken, by sandboxes of an earlier daemon that may have given them just now. */
  void adopted(Set<SandboxId> ids) {
    adopted = Set.copyOf(ids);
  }

  /** What is let in. */
  Admission admission() {
    return admission;
  }

  private static List<Child> allOrNone(
      Tag tag, List<SandboxRow> rows, List<ForkOutcome> outcomes, SandboxRow.State state) {
    List<Child> forked = new ArrayList<>(rows.size());
    List<ForkOutcome.Failed> failed = new ArrayList<>();
    for (int i = 0; i < outcomes.size(); i++) {
      switch (outcomes.get(i)) {
        case ForkOutcome.Forked(var id, var guest, var ready) ->
            forked.add(new Child(rows.get(i).at(state, guest.pid()), guest, ready.toNanos() / 1e6));
        case ForkOutcome.Failed failure -> failed.add(failure);
      }
    }
    if (failed.isEmpty()) {
      return forked;
    }
    Together.closeAll(forked.stream().map(Child::guest).toList());
    throw partial(tag, rows.size(), failed).thrown();
  }

  private static Failure partial(Tag tag, int n, List<ForkOutcome.Failed> failed) {
    Failure first = failed.getFirst().failure();
    LOG.warn(
        "event=fork_failed tag={} n={} failed={} kind={} reason=\"{}\"",
        tag,
        n,
        failed.size(),
        first.kind().word(),
        first.message());
    String message =
        n == 1
            ? "fork of %s failed: %s".formatted(tag, first.message())
            : ("fork of %s failed: %d of %d children could not be made,"
                    + " the others were ended; first: %s")
                .formatted(tag, failed.size(), n, first.message());
    return new Failure(first.kind(), message, first.detail());
  }

  private String machineId() {
    byte[] bytes = new byte[16];
    random.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** Ends a child that nobody was given and strikes it out of the journal. */
  void discard(SandboxId id, Guest guest) {
    try {
      guest.close();
    } finally {
      parts.registry().strike(List.of(id));
    }
  }
}
