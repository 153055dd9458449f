package dev.forkd.store;

import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceStatus;

/**
 * A workspace as the registry knows it. Empty text stands for absence.
 *
 * @param name its name
 * @param id made from the id of its first sandbox
 * @param source the snapshot that it began from
 * @param status where it is in its life
 * @param stateTag the snapshot that holds what was last suspended
 * @param sandbox the sandbox that it runs in
 * @param lastBranch directory of the last state
 * @param createdAtUnix seconds
 * @param activeAtUnix seconds; when it was last created, suspended or resumed
 * @param terms what its sandboxes are forked with
 */
public record WorkspaceRow(
    Tag name,
    String id,
    Tag source,
    WorkspaceStatus status,
    String stateTag,
    String sandbox,
    String lastBranch,
    long createdAtUnix,
    long activeAtUnix,
    Terms terms) {

  /**
   * What every sandbox of a workspace is forked with, now and after each resume.
   *
   * @param netns whether a network namespace was asked for
   * @param memoryLimitMib 0 = the recipe's
   */
  public record Terms(boolean netns, long memoryLimitMib) {}

  /** This row with a sandbox that runs. */
  public WorkspaceRow running(String newSandbox, long now) {
    return new WorkspaceRow(
        name,
        id,
        source,
        WorkspaceStatus.RUNNING,
        stateTag,
        newSandbox,
        lastBranch,
        createdAtUnix,
        now,
        terms);
  }

  /** This row with its state in that snapshot and no sandbox. */
  public WorkspaceRow suspended(Tag state, String dir, long now) {
    return new WorkspaceRow(
        name,
        id,
        source,
        WorkspaceStatus.SUSPENDED,
        state.text(),
        "",
        dir,
        createdAtUnix,
        now,
        terms);
  }

  /** This row after its sandbox was lost. */
  public WorkspaceRow stale() {
    return new WorkspaceRow(
        name,
        id,
        source,
        WorkspaceStatus.STALE,
        stateTag,
        "",
        lastBranch,
        createdAtUnix,
        activeAtUnix,
        terms);
  }
}
