package dev.forkd.engine;

import dev.forkd.model.Failure;
import dev.forkd.model.SandboxId;
import java.time.Duration;

/** What became of one child of a batch. */
public sealed interface ForkOutcome {
  /** The child's id. */
  SandboxId id();

  /**
   * It runs; its agent, and its runtime if there is one, have answered.
   *
   * @param ready from the start of the batch to that answer
   */
  record Forked(SandboxId id, Guest guest, Duration ready) implements ForkOutcome {}

  /** It could not be made; nothing of it is left. */
  record Failed(SandboxId id, Failure failure) implements ForkOutcome {}
}
