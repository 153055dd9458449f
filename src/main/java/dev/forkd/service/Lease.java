package dev.forkd.service;

import dev.forkd.model.EngineName;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;

/** The right to fork a snapshot: while it is held the snapshot cannot be deleted. */
final class Lease implements AutoCloseable {
  private final Snapshots owner;
  private final Snapshot snapshot;
  private final SnapshotRow row;

  Lease(Snapshots owner, Snapshot snapshot, SnapshotRow row) {
    this.owner = owner;
    this.snapshot = snapshot;
    this.row = row;
  }

  Tag tag() {
    return row.tag();
  }

  EngineName engine() {
    return row.engine();
  }

  /** Whether it is marked as holding secrets. */
  boolean secrets() {
    return row.marks().secrets();
  }

  /**
   * The live template, warmed first when the snapshot is cold. The caller releases it, once for the
   * batch; sandboxes that live on acquire it for themselves.
   */
  WarmTemplate template() {
    return owner.template(snapshot);
  }

  @Override
  public void close() {
    owner.returned(snapshot);
  }
}
