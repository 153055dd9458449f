package dev.forkd.model;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What is known of a snapshot.
 *
 * @param tag its name
 * @param dir its directory on the host
 * @param createdAtUnix seconds
 * @param status where it is in its life
 * @param warm whether its template is live; a snapshot that is not warm is warmed at its next fork
 * @param branchedFrom the sandbox it was branched from
 * @param pauseMs how long that sandbox stood still
 * @param diff what a diff of that sandbox took, when one was asked for
 * @param parentTag the snapshot that it needs
 * @param warning why it cannot be forked, or what a branch could not carry over
 * @param engine the engine that runs its sandboxes
 * @param recipe the recipe's name; "" for a branch
 * @param imageDigest of its root file system
 * @param warmMs how long the last warm-up took
 * @param sandboxes how many live sandboxes were forked from it
 * @param report JSON object of the runtime: versions, hazards
 * @param marks what its maker said of it
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record SnapshotInfo(
    Tag tag,
    Path dir,
    long createdAtUnix,
    SnapshotStatus status,
    boolean warm,
    Optional<String> branchedFrom,
    OptionalLong pauseMs,
    Optional<Diff> diff,
    Optional<String> parentTag,
    Optional<String> warning,
    EngineName engine,
    String recipe,
    String imageDigest,
    OptionalLong warmMs,
    int sandboxes,
    String report,
    SnapshotMarks marks) {
  /**
   * What a diff took.
   *
   * @param millis to copy
   * @param physicalBytes of memory that were copied
   * @param logicalBytes of memory that they stand for
   */
  public record Diff(long millis, long physicalBytes, long logicalBytes) {}

  /** Whether sandboxes can be forked from it. */
  public boolean bootable() {
    return status == SnapshotStatus.READY;
  }
}
