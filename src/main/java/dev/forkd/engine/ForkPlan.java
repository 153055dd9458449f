package dev.forkd.engine;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.List;

/**
 * One batch of children; pure data.
 *
 * @param children their identities, all different
 * @param limits of each child
 * @param deadline for the whole batch
 */
public record ForkPlan(List<Child> children, Limits limits, Duration deadline) {
  public ForkPlan {
    children = List.copyOf(children);
    if (children.isEmpty() || children.size() > Request.Fork.MAX_N) {
      throw new ForkdException(
          FailureKind.INVALID, "a batch has 1.." + Request.Fork.MAX_N + " children");
    }
  }

  /**
   * What makes one child itself.
   *
   * @param id also its host name
   * @param machineId 32 hex digits
   */
  public record Child(SandboxId id, String machineId) {}
}
