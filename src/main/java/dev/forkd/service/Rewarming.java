package dev.forkd.service;

import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** Makes cold snapshots warm: one thread warms, the others wait for it. */
final class Rewarming {
  private final Snapshots owner;
  private final Snapshots.Warmer warmer;
  private final ImagesInUse images;

  Rewarming(Snapshots owner, Snapshots.Warmer warmer, ImagesInUse images) {
    this.owner = owner;
    this.warmer = warmer;
    this.images = images;
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
    Attempt attempt = images.preparing(() -> attempt(snapshot, row));
    return attempt.warm().orElseThrow(() -> changed(snapshot, attempt.imageDigest()));
  }

  /** How warming went: without a template there is only another image than the snapshot's. */
  private record Attempt(Optional<WarmTemplate> warm, String imageDigest) {}

  private Attempt attempt(Snapshot snapshot, SnapshotRow row) {
    RootImage image = warmer.image(row);
    if (!image.digest().equals(row.imageDigest())) {
      return new Attempt(Optional.empty(), image.digest());
    }
    Warming.Warmed warmed = warmer.warm(row, image, chain(row));
    try {
      owner.warmed(snapshot, warmed);
    } catch (RuntimeException e) {
      warmed.template().retire();
      throw e;
    }
    return new Attempt(Optional.of(warmed.template()), image.digest());
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
      images.drop(digest);
    }
    return SnapshotRefusal.failed(snapshot.row);
  }
}
