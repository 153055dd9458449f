package dev.forkd.engine;

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

  /** Completes with a sentence when the template ends without being closed. */
  CompletionStage<String> ended();

  /** Ends the template and every sandbox that was forked from it; returns when they are gone. */
  @Override
  void close();
}
