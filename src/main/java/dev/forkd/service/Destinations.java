package dev.forkd.service;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.engine.Reach;
import dev.forkd.model.Destination;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/**
 * Turns what a policy names into addresses. A name is resolved here, once, and the sandbox is told
 * the addresses in its hosts file: it has no way to ask another server, nor for another answer.
 */
final class Destinations {
  private static final Duration DEADLINE = Duration.ofSeconds(10);
  private static final Path[] RESOLVERS = {
    Path.of("/etc/resolv.conf"), Path.of("/run/systemd/resolve/resolv.conf")
  };
  private static final Pattern SERVER =
      Pattern.compile("nameserver\\s+([0-9]{1,3}(?:\\.[0-9]{1,3}){3})\\s*");
  private static final int MAX_SERVERS = 3;
  private static final String MARK = "# forkd";

  private Destinations() {}

  /**
   * A policy with its names resolved.
   *
   * @param hosts name to addresses
   * @param servers name servers that are let through
   */
  record Resolved(Reach reach, Map<String, List<String>> hosts, List<String> servers) {
    /** Of the sandbox. */
    String resolverFile() {
      StringBuilder text = new StringBuilder(MARK + "\n");
      servers.forEach(server -> text.append("nameserver ").append(server).append('\n'));
      return text.toString();
    }
  }

  /**
   * Resolves the names of a policy.
   *
   * @throws ForkdException INVALID for a name that is unknown, or that leads to an address that is
   *     not public: whoever runs its server would choose what of this network is reached
   */
  static Resolved resolve(NetworkPolicy policy) {
    if (policy.kind() != Network.NAT) {
      return new Resolved(new Reach(policy, List.of()), Map.of(), List.of());
    }
    List<String> rules = new ArrayList<>();
    Map<String, List<String>> hosts = new LinkedHashMap<>();
    List<String> servers = List.of();
    if (policy.allow().isEmpty()) {
      servers = servers();
      rules.add("public");
      servers.forEach(server -> {
        rules.add(server + "/32 udp 53 53");
        rules.add(server + "/32 tcp 53 53");
      });
    }
    for (Destination destination : policy.allow().orElse(List.of())) {
      List<String> addresses =
          destination.isName()
              ? hosts.computeIfAbsent(destination.host(), Destinations::lookUp)
              : List.of(destination.host());
      addresses.forEach(address -> rules.add(rule(destination, address)));
    }
    return new Resolved(new Reach(policy, rules), hosts, servers);
  }

  private static String rule(Destination destination, String address) {
    return destination
        .ports()
        .map(ports -> "%s %d %d".formatted(protocol(destination), ports.low(), ports.high()))
        .map(rest -> "%s/%d %s".formatted(address, destination.bits(), rest))
        .orElseGet(() -> "%s/%d any 0 0".formatted(address, destination.bits()));
  }

  private static String protocol(Destination destination) {
    return destination.protocol().name().toLowerCase(Locale.ROOT);
  }

  private static List<String> lookUp(String name) {
    FutureTask<InetAddress[]> question = new FutureTask<>(() -> InetAddress.getAllByName(name));
    Thread.ofVirtual().name("resolve-" + name).start(question);
    try {
      List<InetAddress> found =
          Arrays.stream(question.get(DEADLINE.toMillis(), TimeUnit.MILLISECONDS))
              .filter(Inet4Address.class::isInstance)
              .toList();
      if (found.isEmpty()) {
        throw invalid(name, "has no IPv4 address");
      }
      found.forEach(address -> checkPublic(name, address));
      return found.stream().map(InetAddress::getHostAddress).toList();
    } catch (TimeoutException e) {
      throw invalid(name, "was not resolved within " + DEADLINE.toSeconds() + " s");
    } catch (ExecutionException e) {
      throw invalid(
          name, e.getCause() instanceof UnknownHostException ? "is unknown" : "cannot be resolved");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw invalid(name, "was not resolved: interrupted");
    }
  }

  private static void checkPublic(String name, InetAddress address) {
    if (!AddressRanges.isPublic(address)) {
      throw invalid(
          name,
          "leads to "
              + address.getHostAddress()
              + ", which is not public; name that address itself if it is meant");
    }
  }

  private static ForkdException invalid(String name, String why) {
    return new ForkdException(FailureKind.INVALID, "`allow`: " + name + " " + why);
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

  /** A hosts file with these names, in place of those that an earlier policy wrote. */
  static String withHosts(String old, Map<String, List<String>> hosts) {
    StringBuilder text = new StringBuilder();
    old.lines().filter(line -> !line.endsWith(MARK)).forEach(l -> text.append(l).append('\n'));
    hosts.forEach((name, addresses) ->
        addresses.forEach(address ->
            text.append(address).append(' ').append(name).append(' ').append(MARK).append('\n')));
    return text.toString();
  }
}
