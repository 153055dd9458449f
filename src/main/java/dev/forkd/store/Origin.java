package dev.forkd.store;

import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a snapshot was branched from. Empty text stands for absence.
 *
 * @param sandbox id of the sandbox, or {@code compact:<tag>}; "" = the snapshot is a recipe's
 * @param parentTag snapshot that it needs
 * @param parentHash what the parent's manifest hashed to when this was branched from it
 * @param pauseMs how long the sandbox stood still
 * @param memory what was copied of the sandbox's memory
 * @param diff what a diff of the sandbox took, when one was asked for
 * @param durable whether the snapshot's files suffice to make it live again
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record Origin(
    String sandbox,
    String parentTag,
    String parentHash,
    OptionalLong pauseMs,
    Memory memory,
    Optional<Diff> diff,
    boolean durable) {
  /** Of a snapshot that was made from a recipe. */
  public static final Origin RECIPE =
      new Origin("", "", "", OptionalLong.empty(), new Memory(0, 0), Optional.empty(), false);

  /**
   * Sizes of memory.
   *
   * @param physicalBytes that were copied
   * @param logicalBytes that the snapshot stands for
   */
  public record Memory(long physicalBytes, long logicalBytes) {}

  /** What a diff took: how long, and how much memory. */
  public record Diff(long millis, Memory memory) {}

  /** Whether the snapshot was branched rather than made from a recipe. */
  public boolean branched() {
    return !sandbox.isEmpty();
  }

  /** This one with how long the sandbox stood still. */
  Origin paused(long millis) {
    return new Origin(
        sandbox, parentTag, parentHash, OptionalLong.of(millis), memory, diff, durable);
  }
}
