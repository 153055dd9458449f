package dev.forkd.engine;

import dev.forkd.model.NetworkPolicy;
import java.util.List;
import java.util.Optional;

/**
 * A policy with its names resolved.
 *
 * @param policy as it was asked for
 * @param rules what is let through: {@code public}, or {@code ADDRESS/BITS tcp|udp|any LOW HIGH}
 * @param names who tells the sandbox what leads to the destinations of the policy that are names;
 *     empty = it is told nothing
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record Reach(NetworkPolicy policy, List<String> rules, Optional<Names> names) {
  /** Nothing. */
  public static final Reach NOTHING = of(NetworkPolicy.NONE);

  public Reach {
    rules = List.copyOf(rules);
  }

  /** A policy that lets nothing through by rules. */
  public static Reach of(NetworkPolicy policy) {
    return new Reach(policy, List.of(), Optional.empty());
  }
}
