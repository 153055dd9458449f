package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/** Which snapshots need which. */
final class Kin {
  /** Snapshots in a chain beyond its first. */
  static final int MAX_DEPTH = 32;

  private Kin() {}

  /** Those that need the one of that tag directly, in the given order. */
  static List<Tag> dependents(Tag tag, Collection<SnapshotRow> rows) {
    return rows.stream()
        .filter(row -> row.parentTag().equals(tag.text()))
        .map(SnapshotRow::tag)
        .toList();
  }

  /** Those that a snapshot needs, the eldest first; ends early where one is gone. */
  static List<SnapshotRow> ancestors(SnapshotRow row, Function<Tag, Optional<SnapshotRow>> find) {
    Deque<SnapshotRow> ancestors = new ArrayDeque<>();
    Optional<SnapshotRow> next = parent(row, find);
    while (next.isPresent() && ancestors.size() <= MAX_DEPTH) {
      ancestors.addFirst(next.get());
      next = parent(next.get(), find);
    }
    return List.copyOf(ancestors);
  }

  private static Optional<SnapshotRow> parent(
      SnapshotRow row, Function<Tag, Optional<SnapshotRow>> find) {
    return row.parentTag().isEmpty() ? Optional.empty() : find.apply(new Tag(row.parentTag()));
  }

  /** Fails when one more snapshot on that one would make the chain too long. */
  static void checkDepth(SnapshotRow parent, Function<Tag, Optional<SnapshotRow>> find) {
    if (ancestors(parent, find).size() >= MAX_DEPTH) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          ("snapshot %s is the last of a chain of %d, which is the most: compact it"
                  + " (forkd snapshot-compact), or branch with mode full")
              .formatted(parent.tag(), MAX_DEPTH));
    }
  }
}
