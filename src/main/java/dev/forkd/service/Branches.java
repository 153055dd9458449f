package dev.forkd.service;

import dev.forkd.model.BranchMode;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SandboxRow;
import dev.forkd.store.SnapshotRow;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Running sandboxes become snapshots. The checks come in the order that existing clients know: tag,
 * slot, fields, whether the tag is free, sandbox, parent.
 */
final class Branches {
  private static final Logger LOG = LoggerFactory.getLogger(Branches.class);
  private static final Duration DRAIN = Duration.ofSeconds(30);
  private static final int MAX_ID_IN_TAG = 35;

  private final Parts parts;
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Forks forks;
  private final BranchWriting writing;
  private final BranchSlots slots;
  private final AtomicInteger sequence = new AtomicInteger();

  Branches(
      Parts parts, Snapshots snapshots, Sandboxes sandboxes, Forks forks, BranchWriting writing) {
    this.parts = parts;
    this.snapshots = snapshots;
    this.sandboxes = sandboxes;
    this.forks = forks;
    this.writing = writing;
    this.slots = new BranchSlots(parts.branchCap());
  }

  int inFlight() {
    return slots.inFlight();
  }

  int cap() {
    return slots.cap();
  }

  /** The snapshot, ready; or being written, when the request does not wait for it. */
  SnapshotInfo branch(Request.Branch request) {
    Tag tag = request.tag().orElseGet(() -> defaultTag(request.id()));
    BranchSlots.Slot slot = slots.take(tag);
    try {
      BranchTerms terms = BranchTerms.of(request);
      snapshots.free(tag, false);
      Sandbox.Running running = sandboxes.running(request.id());
      checkParent(request, terms, running.row());
      slot.stop(request.id());
      return branch(tag, terms, BranchSource.of(running), slot);
    } catch (RuntimeException e) {
      slot.close();
      throw e;
    }
  }

  private static void checkParent(Request.Branch request, BranchTerms terms, SandboxRow row) {
    if (request.parent().isEmpty()) {
      return;
    }
    Tag parent = request.parent().get();
    if (!parent.equals(row.tag())) {
      throw new ForkdException(
          FailureKind.INVALID,
          "parent_tag %s is not the snapshot that sandbox %s was forked from, which is %s"
              .formatted(parent, row.id(), row.tag()));
    }
    if (terms.mode() != BranchMode.DIFF) {
      throw new ForkdException(
          FailureKind.INVALID, "parent_tag needs mode diff: only a diff has a parent");
    }
  }

  /** The slot is given back when the snapshot is written, or has failed. */
  private SnapshotInfo branch(
      Tag tag, BranchTerms terms, BranchSource source, BranchSlots.Slot slot) {
    source.template().acquire();
    Origin origin;
    SnapshotRow row;
    try {
      origin = origin(source, terms.mode());
      row = source.row(tag, parts.files().dir(tag), parts.unixSeconds(), origin);
      snapshots.begin(row, false);
    } catch (RuntimeException e) {
      source.template().release();
      throw e;
    }
    Runnable after =
        () -> {
          source.template().release();
          slot.close();
        };
    return writing.write(row, terms, source, after);
  }

  private Origin origin(BranchSource source, BranchMode mode) {
    String parent = "";
    String hash = "";
    if (mode == BranchMode.DIFF) {
      Tag tag = source.row().tag();
      if (!snapshots.holds(tag, source.template())) {
        throw new ForkdException(
            FailureKind.CONFLICT,
            "snapshot " + tag + ", which a diff needs, was deleted: branch with mode full");
      }
      snapshots.find(tag).ifPresent(row -> Kin.checkDepth(row, snapshots::find));
      parent = tag.text();
      hash = parts.files().hash(tag);
    }
    return new Origin(
        source.label(),
        parent,
        hash,
        OptionalLong.empty(),
        new Origin.Memory(0, 0),
        Optional.empty(),
        false);
  }

  /** A snapshot that needs no other one, of what the children of {@code from} begin with. */
  SnapshotInfo compact(Request.Compact request) {
    Tag to = request.to();
    if (request.from().equals(to)) {
      throw new ForkdException(
          FailureKind.INVALID, "a snapshot cannot be compacted into itself: give another tag");
    }
    BranchSlots.Slot slot = slots.take(to);
    try (Lease lease = snapshots.lease(request.from())) {
      snapshots.free(to, false);
      WarmTemplate template = lease.template();
      try {
        return compact(request, lease, template, slot);
      } finally {
        template.release();
      }
    } finally {
      slot.close();
    }
  }

  private SnapshotInfo compact(
      Request.Compact request, Lease lease, WarmTemplate template, BranchSlots.Slot slot) {
    Child child =
        forks
            .fork(
                lease.tag(),
                lease.engine(),
                template.template(),
                1,
                template.recipe().limits(),
                SandboxRow.State.PARKED)
            .getFirst();
    try {
      BranchSource source =
          new BranchSource("compact:" + request.from(), child.row(), child.guest(), template);
      return branch(request.to(), new BranchTerms(BranchMode.FULL, false, true), source, slot);
    } finally {
      forks.discard(child.row().id(), child.guest());
    }
  }

  private Tag defaultTag(SandboxId id) {
    String text = id.text();
    String stem = text.substring(0, Math.min(MAX_ID_IN_TAG, text.length()));
    return new Tag(
        "branch-%s-%d-%04x"
            .formatted(stem, parts.unixSeconds(), sequence.getAndIncrement() & 0xffff));
  }

  /** Nothing new is begun. */
  void refuse() {
    slots.close();
  }

  /** Waits for what is being written; its sandboxes have been ended. */
  void close() {
    if (!slots.awaitNone(DRAIN)) {
      LOG.error("event=branches_abandoned n={}", slots.inFlight());
    }
  }
}
