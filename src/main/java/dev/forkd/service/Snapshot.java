package dev.forkd.service;

import dev.forkd.model.SnapshotInfo;
import dev.forkd.store.Origin;
import dev.forkd.store.SnapshotRow;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/** A snapshot that is not being written: its row and, when it is warm, its template. */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // cold or warm is its state
final class Snapshot {
  /** Held while a cold snapshot is warmed, so that one thread warms and the others wait. */
  final ReentrantLock warming = new ReentrantLock();

  /** Guarded by the owning {@link Snapshots}. */
  SnapshotRow row;

  /** Guarded by the owning {@link Snapshots}. */
  Optional<WarmTemplate> live = Optional.empty();

  /** Forks under way. Guarded by the owning {@link Snapshots}. */
  int forks;

  /** A cold one. */
  Snapshot(SnapshotRow row) {
    this.row = row;
  }

  /** What is told of a snapshot. */
  static SnapshotInfo describe(SnapshotRow row, boolean warm, int sandboxes) {
    return new SnapshotInfo(
        row.tag(),
        row.dir(),
        row.createdAtUnix(),
        row.status(),
        warm,
        present(row.origin().sandbox()),
        row.origin().pauseMs(),
        row.origin().diff().map(Snapshot::diff),
        present(row.parentTag()),
        present(row.warning()),
        row.engine(),
        row.recipeName(),
        row.imageDigest(),
        row.warmMs(),
        sandboxes,
        row.report(),
        row.marks());
  }

  private static SnapshotInfo.Diff diff(Origin.Diff diff) {
    return new SnapshotInfo.Diff(
        diff.millis(), diff.memory().physicalBytes(), diff.memory().logicalBytes());
  }

  private static Optional<String> present(String text) {
    return text.isEmpty() ? Optional.empty() : Optional.of(text);
  }
}
