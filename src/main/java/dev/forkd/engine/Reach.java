package dev.forkd.engine;

import dev.forkd.model.NetworkPolicy;
import java.util.List;

/**
 * A policy with its names resolved.
 *
 * @param policy as it was asked for
 * @param rules what is let through: {@code public}, or {@code ADDRESS/BITS tcp|udp|any LOW HIGH}
 */
public record Reach(NetworkPolicy policy, List<String> rules) {
  /** Nothing. */
  public static final Reach NOTHING = new Reach(NetworkPolicy.NONE, List.of());

  public Reach {
    rules = List.copyOf(rules);
  }
}
