package dev.forkd.service;

import dev.forkd.engine.Reach;
import dev.forkd.engine.Wire;
import dev.forkd.model.PublishedPort;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Remembers what it was told. */
final class FakeWire implements Wire {
  private final Map<Integer, PublishedPort> ports = new TreeMap<>();
  private Reach reach = Reach.NOTHING;

  @Override
  public Optional<String> name() {
    return reach.equals(Reach.NOTHING) ? Optional.empty() : Optional.of("forkd-child-1");
  }

  @Override
  public boolean isLoose() {
    return true;
  }

  @Override
  public Reach reach() {
    return reach;
  }

  @Override
  public void connect(Reach wanted) {
    reach = wanted;
  }

  @Override
  public List<String> refused() {
    return List.of();
  }

  @Override
  public PublishedPort publish(int port, String address, int hostPort) {
    PublishedPort made = new PublishedPort(port, address, hostPort == 0 ? 40_000 + port : hostPort);
    ports.put(port, made);
    return made;
  }

  @Override
  public List<PublishedPort> ports() {
    return List.copyOf(ports.values());
  }

  @Override
  public boolean unpublish(int port) {
    return ports.remove(port) != null;
  }
}
