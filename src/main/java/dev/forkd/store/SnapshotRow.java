package dev.forkd.store;

import dev.forkd.model.EngineName;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A snapshot as the registry knows it. Empty text stands for absence.
 *
 * @param tag its name
 * @param dir its directory
 * @param createdAtUnix seconds
 * @param status where it is in its life
 * @param recipe the recipe file's text
 * @param recipeName what the recipe calls itself
 * @param warmScript text of the warm-up script as it was when the snapshot was made, wherever the
 *     recipe had it from; empty = an older forkd made the snapshot and did not keep it
 * @param baseDir where relative paths of the recipe start
 * @param engine that runs its sandboxes
 * @param imageDigest of its root file system
 * @param warmMs of the last warm-up
 * @param report JSON object that the runtime told when it was warm
 * @param warning why it cannot be forked, or what a branch could not carry over
 * @param origin what it was branched from
 * @param marks what its maker said of it
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record SnapshotRow(
    Tag tag,
    Path dir,
    long createdAtUnix,
    SnapshotStatus status,
    String recipe,
    String recipeName,
    Optional<String> warmScript,
    Path baseDir,
    EngineName engine,
    String imageDigest,
    OptionalLong warmMs,
    String report,
    String warning,
    Origin origin,
    SnapshotMarks marks) {

  /** This row after a warm-up. */
  public SnapshotRow warmed(String digest, long millis, String newReport) {
    String lost = origin.branched() ? warning : "";
    return with(SnapshotStatus.READY, digest, OptionalLong.of(millis), newReport, lost, origin);
  }

  /** This row as one that cannot be forked, for that reason. */
  public SnapshotRow failed(String reason) {
    return with(SnapshotStatus.FAILED, imageDigest, warmMs, report, reason, origin);
  }

  /** This row of a branch that is whole, with what it could not carry over. */
  public SnapshotRow branched(String newReport, String lost, Origin newOrigin) {
    return with(SnapshotStatus.READY, imageDigest, warmMs, newReport, lost, newOrigin);
  }

  /** This row of a branch whose sandbox stood still for so long. */
  public SnapshotRow paused(long millis) {
    return with(status, imageDigest, warmMs, report, warning, origin.paused(millis));
  }

  private SnapshotRow with(
      SnapshotStatus newStatus,
      String digest,
      OptionalLong millis,
      String newReport,
      String newWarning,
      Origin newOrigin) {
    return new SnapshotRow(
        tag,
        dir,
        createdAtUnix,
        newStatus,
        recipe,
        recipeName,
        warmScript,
        baseDir,
        engine,
        digest,
        millis,
        newReport,
        newWarning,
        newOrigin,
        marks);
  }

  /** The snapshot that it needs; "" = none. */
  public String parentTag() {
    return origin.parentTag();
  }
}
