package dev.forkd.service;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.engine.Reach;
import dev.forkd.model.Destination;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Turns what a policy names into what is let through. With a list, a sandbox asks nobody for names
 * but {@link AllowedNames}; without one, the host's own name servers.
 */
final class Destinations {
  private static final Path[] RESOLVERS = {
    Path.of("/etc/resolv.conf"), Path.of("/run/systemd/resolve/resolv.conf")
  };
  private static final Pattern SERVER =
      Pattern.compile("nameserver\\s+([0-9]{1,3}(?:\\.[0-9]{1,3}){3})\\s*");
  private static final int MAX_SERVERS = 3;

  /** The other end of a sandbox's network, where {@link AllowedNames} is asked. */
  private static final String OWN_SERVER = "10.42.0.1";

  private final Resolver resolver;
  private final InstantSource clock;

  Destinations(Resolver resolver, InstantSource clock) {
    this.resolver = resolver;
    this.clock = clock;
  }

  /**
   * A policy, for any number of sandboxes.
   *
   * @param rules what is let through
   * @param names what the list of the policy names; empty = it has none
   * @param servers name servers that a sandbox asks
   */
  @SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
  record Resolved(
      NetworkPolicy policy,
      List<String> rules,
      Optional<AllowedNames> names,
      List<String> servers) {
    /** Of one sandbox: what it learns by asking is its own. */
    Reach reach() {
      return new Reach(policy, rules, names.map(AllowedNames::copy));
    }

    /** Of the sandbox. */
    String resolverFile() {
      StringBuilder text = new StringBuilder("# forkd\n");
      servers.forEach(server -> text.append("nameserver ").append(server).append('\n'));
      return text.toString();
    }
  }

  /**
   * Resolves the names of a policy.
   *
   * @throws ForkdException INVALID for a name that is unknown, or that leads to addresses of which
   *     none is public: whoever runs its server would choose what of this network is reached
   */
  Resolved resolve(NetworkPolicy policy) {
    if (policy.kind() != Network.NAT) {
      return new Resolved(policy, List.of(), Optional.empty(), List.of());
    }
    return policy
        .allow()
        .map(list -> listed(policy, list))
        .orElseGet(() -> everythingPublic(policy));
  }

  private static Resolved everythingPublic(NetworkPolicy policy) {
    List<String> rules = new ArrayList<>(List.of("public"));
    List<String> servers = servers();
    servers.forEach(server -> {
      rules.add(server + "/32 udp 53 53");
      rules.add(server + "/32 tcp 53 53");
    });
    return new Resolved(policy, rules, Optional.empty(), servers);
  }

  private Resolved listed(NetworkPolicy policy, List<Destination> list) {
    AllowedNames names = new AllowedNames(list, resolver, clock);
    list.stream()
        .filter(one -> one.isName() && !one.isPattern())
        .map(one -> one.name())
        .distinct()
        .forEach(host -> check(names, host));
    return new Resolved(policy, names.rules(), Optional.of(names), List.of(OWN_SERVER));
  }

  private static void check(AllowedNames names, String host) {
    try {
      names.learn(host);
    } catch (Resolver.NotFound e) {
      throw new ForkdException(FailureKind.INVALID, "`allow`: " + host + " " + e.why());
    }
  }

  /** A line of what is let through, as {@code native/net/rules.c} reads it. */
  static String rule(Destination destination, String address) {
    return destination
        .ports()
        .map(ports -> "%s %d %d".formatted(protocol(destination), ports.low(), ports.high()))
        .map(rest -> "%s/%d %s".formatted(address, destination.bits(), rest))
        .orElseGet(() -> "%s/%d any 0 0".formatted(address, destination.bits()));
  }

  private static String protocol(Destination destination) {
    return destination.protocol().name().toLowerCase(Locale.ROOT);
  }

  /** The host's own, those that a sandbox can reach. */
  private static List<String> servers() {
    for (Path file : RESOLVERS) {
      List<String> found = serversOf(file);
      if (!found.isEmpty()) {
        return found;
      }
    }
    return List.of();
  }

  private static List<String> serversOf(Path file) {
    try {
      return Files.readString(file, UTF_8)
          .lines()
          .map(SERVER::matcher)
          .filter(matcher -> matcher.matches() && !matcher.group(1).startsWith("127."))
          .map(matcher -> matcher.group(1))
          .limit(MAX_SERVERS)
          .toList();
    } catch (IOException e) {
      return List.of(); // a host without one
    }
  }
}
