package dev.forkd.engine;

import dev.forkd.model.SandboxId;
import java.util.Map;

/**
 * A live template that an earlier daemon left.
 *
 * @param template its {@link Template#name}
 * @param sandboxes that were forked from it and live: their agents' process ids
 */
public record Survivor(String template, Map<SandboxId, Long> sandboxes) {
  public Survivor {
    sandboxes = Map.copyOf(sandboxes);
  }
}
