package dev.forkd.engine;

import dev.forkd.model.ForkdException;
import dev.forkd.model.PublishedPort;
import java.util.List;
import java.util.Optional;

/** What connects one sandbox with the world. Thread-safe. */
public interface Wire {
  /** Name of its network namespace on the host; empty when nothing can reach it. */
  Optional<String> name();

  /** Whether it can be given any network while it runs. */
  boolean isLoose();

  /** What it may reach. */
  Reach reach();

  /**
   * Changes that, while it runs.
   *
   * @throws ForkdException UNSUPPORTED when its engine cannot give it that network, CONFLICT when
   *     ports of the old one are published
   */
  void connect(Reach reach);

  /** "ADDRESS PROTOCOL PORT" of what it tried to reach in the last hour and may not. */
  List<String> refused();

  /**
   * Makes a port of it reachable on the host.
   *
   * @param hostPort 0 = one that is free
   * @throws ForkdException CONFLICT when it is published already or the host's port is taken
   */
  PublishedPort publish(int port, String address, int hostPort);

  /** Those that are published. */
  List<PublishedPort> ports();

  /** Takes that back; false when it was not published. */
  boolean unpublish(int port);
}
