package dev.forkd.engine.network;

import dev.forkd.engine.Names;
import dev.forkd.engine.Reach;
import dev.forkd.engine.Wire;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import dev.forkd.model.PublishedPort;
import dev.forkd.model.SandboxId;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A sandbox's network and its published ports, with one owner. */
public final class NetworkWire implements Wire, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(NetworkWire.class);
  private static final int MAX_PORTS = 64;

  private final Supplier<Networks> networks;
  private final SandboxId id;
  private final OptionalLong pid;
  private final SortedMap<Integer, Forwarding> ports = new TreeMap<>();
  private Optional<NameServer> server = Optional.empty();
  private Optional<String> name;
  private Reach reach;
  private boolean closed;

  private NetworkWire(
      Supplier<Networks> networks, SandboxId id, OptionalLong pid, String name, Network kind) {
    this.networks = networks;
    this.id = id;
    this.pid = pid;
    this.name = name.isEmpty() ? Optional.empty() : Optional.of(name);
    this.reach = plain(kind);
  }

  /** What a new network of that kind lets through. */
  private static Reach plain(Network kind) {
    return kind == Network.NAT
        ? new Reach(NetworkPolicy.of(kind), List.of("public"), Optional.empty())
        : Reach.of(NetworkPolicy.of(kind));
  }

  /** Of a sandbox that is processes, by the pid of its agent: it can be given any network. */
  public static NetworkWire loose(Supplier<Networks> networks, SandboxId id, long pid) {
    return new NetworkWire(networks, id, OptionalLong.of(pid), "", Network.NONE);
  }

  /**
   * Of a virtual machine: it keeps the network that it was started with, which stays its own.
   *
   * @param name of the network; "" = none
   */
  public static NetworkWire fixed(
      Supplier<Networks> networks, SandboxId id, String name, Network kind) {
    return new NetworkWire(networks, id, OptionalLong.empty(), name, kind);
  }

  @Override
  public synchronized Optional<String> name() {
    return name;
  }

  @Override
  public boolean isLoose() {
    return pid.isPresent();
  }

  @Override
  public synchronized Reach reach() {
    return reach;
  }

  @Override
  public synchronized void connect(Reach wanted) {
    checkOpen();
    Network kind = wanted.policy().kind();
    if (kind != reach.policy().kind()) {
      change(kind);
    }
    if (kind == Network.NAT) {
      String network = name.orElseThrow();
      stopServer();
      networks.get().rules(network, wanted.rules());
      server = wanted.names().map(names -> start(network, names));
    }
    reach = wanted;
  }

  private NameServer start(String network, Names names) {
    Networks all = networks.get();
    return NameServer.start(all.questions(network), names, lines -> all.rules(network, lines));
  }

  /** No answer of it changes the rules after this. */
  private void stopServer() {
    server.ifPresent(NameServer::close);
    server = Optional.empty();
  }

  private void checkOpen() {
    if (closed) {
      throw new ForkdException(FailureKind.ENGINE, "sandbox " + id + " has ended");
    }
  }

  private void change(Network kind) {
    if (pid.isEmpty()) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "sandbox "
              + id
              + " is a virtual machine: its network stays "
              + reach.policy().kind().word()
              + ", which the recipe says; only what it may reach can change");
    }
    if (!ports.isEmpty()) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "sandbox " + id + " has published ports in its network; take them back first");
    }
    if (name.isPresent()) {
      networks.get().unplug(pid.getAsLong());
      remove();
    }
    if (kind == Network.NONE) {
      return;
    }
    String taken = networks.get().take(kind);
    try {
      networks.get().plug(taken, pid.getAsLong());
    } catch (ForkdException e) {
      networks.get().remove(taken);
      throw e;
    }
    name = Optional.of(taken);
    reach = plain(kind);
    LOG.info("event=network_connected sandbox={} network={} kind={}", id, taken, kind.word());
  }

  private void remove() {
    stopServer();
    name.ifPresent(networks.get()::remove);
    name = Optional.empty();
    reach = Reach.NOTHING;
  }

  @Override
  public synchronized List<String> refused() {
    if (reach.policy().kind() != Network.NAT) {
      return List.of();
    }
    List<String> all = new ArrayList<>(networks.get().refused(name.orElseThrow()));
    reach.names().ifPresent(names -> all.addAll(names.refused()));
    return all;
  }

  @Override
  public synchronized PublishedPort publish(int port, String address, int hostPort) {
    checkOpen();
    if (ports.containsKey(port)) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "port " + port + " of sandbox " + id + " is published already; take that back first");
    }
    if (ports.size() >= MAX_PORTS) {
      throw new ForkdException(
          FailureKind.EXHAUSTED,
          "sandbox " + id + " has " + MAX_PORTS + " published ports already");
    }
    if (name.isEmpty()) {
      change(Network.LOCAL); // fails for a machine without a card, with the reason
    }
    Forwarding made = Forwarding.start(networks.get(), name.orElseThrow(), address, hostPort, port);
    ports.put(port, made);
    return made.published();
  }

  @Override
  public synchronized List<PublishedPort> ports() {
    return ports.values().stream().map(Forwarding::published).toList();
  }

  @Override
  public synchronized boolean unpublish(int port) {
    Optional<Forwarding> found = Optional.ofNullable(ports.remove(port));
    found.ifPresent(Forwarding::close);
    return found.isPresent();
  }

  /** The sandbox is gone. The network of a virtual machine is not this one's to remove. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    stopServer();
    ports.values().forEach(Forwarding::close);
    ports.clear();
    if (pid.isPresent() && name.isPresent()) {
      remove();
    }
  }
}
