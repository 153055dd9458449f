package dev.forkd.model;

import java.util.List;
import java.util.Optional;

/**
 * What a sandbox may reach.
 *
 * @param kind its way out
 * @param allow what of the outside is let through, only with {@link Network#NAT}; empty = every
 *     address that is public
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record NetworkPolicy(Network kind, Optional<List<Destination>> allow) {
  /** Destinations of one policy at the most. */
  public static final int MAX_ALLOW = 256;

  /** Itself only. */
  public static final NetworkPolicy NONE = of(Network.NONE);

  public NetworkPolicy {
    allow = allow.map(List::copyOf);
    if (allow.isPresent() && kind != Network.NAT) {
      throw new ForkdException(
          FailureKind.INVALID,
          "`allow` says what of the outside is reached: it needs the network nat, not "
              + kind.word());
    }
    if (allow.orElse(List.of()).size() > MAX_ALLOW) {
      throw new ForkdException(
          FailureKind.INVALID, "`allow` has more than " + MAX_ALLOW + " destinations");
    }
  }

  /** Everything that such a network reaches. */
  public static NetworkPolicy of(Network kind) {
    return new NetworkPolicy(kind, Optional.empty());
  }
}
