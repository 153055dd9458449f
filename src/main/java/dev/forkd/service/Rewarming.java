package dev.forkd.service;

import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Makes cold snapshots warm: one thread warms, the others wait for it. */
final class Rewarming {
  private final Snapshots owner;
  private final Snapshots.Warmer warmer;

  Rewarming(Snapshots owner, Snapshots.Warmer warmer) {
    this.owner = owner;
    this.warmer = warmer;
  }

  /** The template of a leased snapshot, acquired for the caller. */
  WarmTemplate template(Snapshot snapshot) {
    Waiting.lock(snapshot.warming, "snapshot " + snapshot.row.tag() + " to be warmed");
    try {
      return owner.acquired(snapshot).orElseGet(() -> warm(snapshot));
    } finally {
      snapshot.warming.unlock();
    }
  }

  private WarmTemplate warm(Snapshot snapshot) {
    SnapshotRow row = snapshot.row;
    if (row.status() != SnapshotStatus.READY) {
      throw SnapshotRefusal.failed(row); // by whoever held the lock before
    }
    RootImage image = warmer.image(row);
    if (!image.digest().equals(row.imageDigest())) {
      throw changed(snapshot, image.digest());
    }
    Warming.Warmed warmed = warmer.warm(row, image, chain(row));
    try {
      owner.warmed(snapshot, warmed);
    } catch (RuntimeException e) {
      warmed.template().retire();
      throw e;
    }
    return warmed.template();
  }

  private List<Path> chain(SnapshotRow row) {
    return Stream.concat(owner.ancestors(row).stream(), Stream.of(row))
        .map(SnapshotRow::dir)
        .toList();
  }

  // A snapshot is immutable: warmed on another image it would be another one.
  private ForkdException changed(Snapshot snapshot, String digest) {
    String why =
        ("its image %s is gone, and its recipe now makes another one, %s: files or packages have"
                + " changed since; create the snapshot again")
            .formatted(snapshot.row.imageDigest(), digest);
    try {
      owner.failed(snapshot, why);
    } finally {
      owner.dropImage(digest);
    }
    return SnapshotRefusal.failed(snapshot.row);
  }
}
