package dev.forkd.model;

import java.util.List;

/**
 * What is known of a snapshot and of those around it.
 *
 * @param info of itself
 * @param memoryLogicalBytes memory that it stands for; 0 = a recipe's, whose memory is live only
 * @param memoryPhysicalBytes memory that was copied for it
 * @param stateBytes size of the files in its directory without its manifest
 * @param parentTag the snapshot that it needs; "" = none
 * @param parentHash what that one's manifest hashed to; "" = no parent
 * @param ancestors the snapshots that it needs, the eldest first
 * @param dependents the snapshots that need it directly, by tag
 */
public record SnapshotDetail(
    SnapshotInfo info,
    long memoryLogicalBytes,
    long memoryPhysicalBytes,
    long stateBytes,
    String parentTag,
    String parentHash,
    List<Tag> ancestors,
    List<Tag> dependents) {
  public SnapshotDetail {
    ancestors = List.copyOf(ancestors);
    dependents = List.copyOf(dependents);
  }
}
