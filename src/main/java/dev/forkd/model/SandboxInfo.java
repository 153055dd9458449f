package dev.forkd.model;

import java.util.Optional;
import java.util.OptionalLong;

/**
 * What is known of a running sandbox.
 *
 * @param id its name
 * @param tag the snapshot it was forked from
 * @param createdAtUnix seconds
 * @param pid of its agent, on the host
 * @param engine that runs it
 * @param state running or ended
 * @param runtime state of its warm runtime
 * @param memoryLimitMib when a limit is set
 * @param memoryBytes in use, when its control group counts them
 * @param netns its network namespace on the host, when it has one that can be reached
 * @param readyMs from the request to the answer of agent and runtime
 * @param branches how many snapshots were branched from it
 * @param lastBranch directory of the last one
 * @param ended how it ended, when it ended by itself: a sentence for people
 * @param options what whoever forked it said of it
 * @param millisLeft of its time to live, when it has one
 * @param secrets whether it was forked from a snapshot that holds secrets
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record SandboxInfo(
    SandboxId id,
    Tag tag,
    long createdAtUnix,
    long pid,
    EngineName engine,
    State state,
    Pong.RuntimeState runtime,
    OptionalLong memoryLimitMib,
    OptionalLong memoryBytes,
    Optional<String> netns,
    double readyMs,
    int branches,
    Optional<String> lastBranch,
    Optional<String> ended,
    SandboxOptions options,
    OptionalLong millisLeft,
    boolean secrets) {
  /** Whether it lives. */
  public enum State {
    RUNNING,
    ENDED
  }
}
