package dev.forkd.engine;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.List;
import java.util.concurrent.CompletionStage;

/** An engine's live form of a snapshot. Immutable once warmed; thread-safe. */
public interface Template extends AutoCloseable {
  /** JSON object that the runtime told when it was warm: versions, hazards, times. */
  String report();

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
