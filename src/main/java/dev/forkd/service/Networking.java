package dev.forkd.service;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.engine.Guest;
import dev.forkd.engine.Wire;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import dev.forkd.model.PublishedPort;
import dev.forkd.model.Recipe;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxNetwork;
import java.io.ByteArrayInputStream;
import java.time.Duration;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Networks and published ports of sandboxes, while they run. */
final class Networking {
  private static final Logger LOG = LoggerFactory.getLogger(Networking.class);
  private static final Duration FILE_DEADLINE = Duration.ofSeconds(10);
  private static final int MODE = 0644;

  private final Parts parts;
  private final Sandboxes sandboxes;
  private final Destinations destinations;

  Networking(Parts parts, Sandboxes sandboxes) {
    this.parts = parts;
    this.sandboxes = sandboxes;
    this.destinations = new Destinations(parts.resolver(), parts.clock());
  }

  /** What children of a request get. */
  static NetworkPolicy wanted(Request.Fork request, Recipe recipe) {
    boolean local = request.netns() && recipe.network().kind() == Network.NONE;
    return local ? NetworkPolicy.of(Network.LOCAL) : recipe.network();
  }

  /** Connects children that have answered; names are resolved once for all of them. */
  void connect(List<Child> children, NetworkPolicy policy) {
    // Existing clients ask LOCAL of every snapshot; a machine without a card can have none.
    List<Guest> guests =
        children.stream()
            .map(Child::guest)
            .filter(guest -> policy.kind() != Network.LOCAL || guest.wire().isLoose())
            .toList();
    if (policy.kind() != Network.NONE && !guests.isEmpty()) {
      Destinations.Resolved resolved = destinations.resolve(policy);
      Together.each(guests, guest -> connect(guest, resolved));
    }
  }

  private static void connect(Guest guest, Destinations.Resolved resolved) {
    guest.wire().connect(resolved.reach());
    if (resolved.policy().kind() == Network.NAT) {
      byte[] text = resolved.resolverFile().getBytes(UTF_8);
      guest.writeFile("/etc/resolv.conf", MODE, new ByteArrayInputStream(text), FILE_DEADLINE);
    }
  }

  SandboxNetwork get(SandboxId id) {
    Wire wire = sandboxes.running(id).guest().wire();
    return new SandboxNetwork(wire.reach().policy(), wire.name(), wire.refused(), wire.ports());
  }

  SandboxNetwork set(SandboxId id, NetworkPolicy policy) {
    connect(sandboxes.running(id).guest(), destinations.resolve(policy));
    String word = policy.kind().word();
    parts.registry().note(parts.event("sandbox.network", id.text(), word));
    LOG.info("event=network_set sandbox={} network={} allow={}", id, word, policy.allow());
    return get(id);
  }

  PublishedPort publish(Request.PublishPort request) {
    PublishedPort made =
        sandboxes
            .running(request.id())
            .guest()
            .wire()
            .publish(request.port(), request.address(), request.hostPort());
    parts.registry().note(parts.event("sandbox.port_published", request.id().text(), told(made)));
    return made;
  }

  List<PublishedPort> ports(SandboxId id) {
    return sandboxes.running(id).guest().wire().ports();
  }

  private static String told(PublishedPort port) {
    return "%s:%d to %d".formatted(port.address(), port.hostPort(), port.port());
  }

  Request.Done unpublish(SandboxId id, int port) {
    if (!sandboxes.running(id).guest().wire().unpublish(port)) {
      throw new ForkdException(
          FailureKind.NOT_FOUND, "port " + port + " of sandbox " + id + " is not published");
    }
    parts.registry().note(parts.event("sandbox.port_unpublished", id.text(), "" + port));
    return Request.Done.DONE;
  }
}
