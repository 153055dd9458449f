package dev.forkd.engine;

import java.time.Duration;
import java.util.concurrent.CompletionStage;

/**
 * A branch that was taken: the sandbox runs on, and what was copied of it cannot change any more.
 *
 * @param pause how long the sandbox stood still
 * @param warning what of the sandbox could not be carried over, for people; "" = nothing
 * @param written completes when the snapshot is whole: at once, or (LIVE) when the copying in the
 *     background is done. Completes exceptionally with a ForkdException; nothing is left then
 */
public record Branch(Duration pause, String warning, CompletionStage<Written> written) {
  /**
   * A snapshot that can be forked.
   *
   * @param template its live form, the caller's to close
   * @param copying how long the copying took
   * @param physicalBytes of memory that were copied
   * @param logicalBytes of memory that the snapshot stands for
   * @param durable whether {@link BranchPlan#dir} holds all that {@link Engine#restore} needs;
   *     otherwise the snapshot lives as long as its template does
   */
  public record Written(
      Template template,
      Duration copying,
      long physicalBytes,
      long logicalBytes,
      boolean durable) {}
}
