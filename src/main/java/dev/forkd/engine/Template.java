package dev.forkd.engine;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletionStage;

/** An engine's live form of a snapshot. Immutable once warmed; thread-safe. */
public interface Template extends AutoCloseable {
  /** JSON object that the runtime told when it was warm: versions, hazards, times. */
  String report();

  /** What it is called where it lives, by one engine never twice; "" where that is not known. */
  default String name() {
    return "";
  }

  /**
   * Takes over a sandbox of a template that was adopted, when it has answered.
   *
   * @param memoryLimit bytes, 0 = none
   * @throws ForkdException when it does not answer, or cannot be taken over; it has been ended then
   */
  default Guest adopt(SandboxId id, long pid, long memoryLimit, Duration deadline) {
    throw new ForkdException(FailureKind.UNSUPPORTED, "nothing outlives its daemon here");
  }

  /** Ends sandboxes of a template that was adopted, which nobody takes over. */
  default void end(Collection<SandboxId> ids) {
    throw new ForkdException(FailureKind.UNSUPPORTED, "nothing outlives its daemon here");
  }

  /**
   * Forks a batch; one outcome per child, in the plan's order. A child that fails does not take its
   * siblings with it: what to do with a partial batch is the caller's choice.
   */
  List<ForkOutcome> fork(ForkPlan plan);

  /**
   * Writes this snapshot once more, as one that needs no other.
   *
   * @throws ForkdException UNSUPPORTED when this engine keeps nothing of its templates in files
   */
  default Branch.Written compact(CompactPlan plan) {
    throw new ForkdException(
        FailureKind.UNSUPPORTED,
        "snapshot " + plan.tag() + " cannot be made: this engine does not write templates down");
  }

  /** How many more sandboxes this machine has memory for; an estimate. */
  default int room() {
    return Integer.MAX_VALUE;
  }

  /** Completes with a sentence when the template ends without being closed. */
  CompletionStage<String> ended();

  /** Ends the template and every sandbox that was forked from it; returns when they are gone. */
  @Override
  void close();
}
