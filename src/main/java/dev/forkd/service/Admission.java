package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import dev.forkd.store.Registry;
import dev.forkd.store.SandboxRow;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets a batch in when its worst case fits into the memory budget beside what lives, and writes it
 * down in the same step. What lives is what the journal says, so nothing has to be given back.
 * Thread-safe.
 */
final class Admission {
  private static final Logger LOG = LoggerFactory.getLogger(Admission.class);

  private final Registry registry;
  private final long budgetMib;
  private final LongAdder refused = new LongAdder();

  /**
   * For one registry.
   *
   * @param budgetMib of all sandboxes and parked children together, in MiB; 0 = none
   */
  Admission(Registry registry, long budgetMib) {
    this.registry = registry;
    this.budgetMib = budgetMib;
  }

  /**
   * Journals a batch.
   *
   * @throws ForkdException EXHAUSTED with the numbers when it does not fit; INVALID when nobody
   *     knows its worst case
   */
  synchronized void journal(Tag tag, List<SandboxRow> rows) {
    if (budgetMib > 0) {
      check(tag, rows);
    }
    registry.journal(rows);
  }

  private void check(Tag tag, List<SandboxRow> rows) {
    if (rows.stream().anyMatch(row -> row.memoryLimitMib() == 0)) {
      throw new ForkdException(
          FailureKind.INVALID,
          ("fork of %s: it has no memory limit, and this daemon has a budget of %d MiB:"
                  + " give its recipe limits.memory, or the request memory_limit_mib")
              .formatted(tag, budgetMib));
    }
    long wanted = sum(rows);
    long reserved = reservedMib();
    if (wanted > budgetMib - reserved) {
      refused.increment();
      LOG.warn(
          "event=fork_refused tag={} n={} wanted_mib={} reserved_mib={} budget_mib={}",
          tag,
          rows.size(),
          wanted,
          reserved,
          budgetMib);
      throw new ForkdException(
          FailureKind.EXHAUSTED,
          ("fork of %s: %d x %d MiB are %d MiB at worst, but of the memory budget of %d MiB"
                  + " %d are reserved and %d are left: ask for fewer, lower the limit, end"
                  + " sandboxes, or raise --memory-budget")
              .formatted(
                  tag,
                  rows.size(),
                  rows.getFirst().memoryLimitMib(),
                  wanted,
                  budgetMib,
                  reserved,
                  budgetMib - reserved));
    }
  }

  /** The worst case of all that lives, in MiB. */
  long reservedMib() {
    return sum(
        registry.sandboxes().stream()
            .filter(row -> row.state() != SandboxRow.State.ENDED)
            .toList());
  }

  /** In MiB; 0 = none. */
  long budgetMib() {
    return budgetMib;
  }

  /** Batches that did not fit. */
  long refused() {
    return refused.sum();
  }

  private static long sum(List<SandboxRow> rows) {
    return rows.stream().mapToLong(SandboxRow::memoryLimitMib).sum();
  }
}
