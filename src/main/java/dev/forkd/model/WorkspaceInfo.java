package dev.forkd.model;

import java.util.Optional;
import java.util.OptionalLong;

/**
 * What is known of a workspace: a sandbox with a name that can be suspended and resumed.
 *
 * @param id its id
 * @param name its name
 * @param source the snapshot that it began from
 * @param status where it is in its life
 * @param state the snapshot that holds what was last suspended
 * @param sandbox the sandbox that it runs in
 * @param lastBranchPath directory of the last state
 * @param createdAtUnix seconds
 * @param activeAtUnix seconds; when it was last created, suspended or resumed
 * @param netns whether a network namespace was asked for
 * @param memoryLimitMib of its sandboxes, when one was asked for
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record WorkspaceInfo(
    String id,
    Tag name,
    Tag source,
    WorkspaceStatus status,
    Optional<String> state,
    Optional<String> sandbox,
    Optional<String> lastBranchPath,
    long createdAtUnix,
    long activeAtUnix,
    boolean netns,
    OptionalLong memoryLimitMib) {}
