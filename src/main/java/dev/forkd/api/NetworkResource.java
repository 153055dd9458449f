package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Destination;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import dev.forkd.model.PublishedPort;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxNetwork;
import dev.forkd.service.Forkd;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code /v1/sandboxes/{id}/network} and {@code /ports}: what it reaches, and what reaches it. */
final class NetworkResource {
  private static final String LOOPBACK = "127.0.0.1";
  private static final int MAX_PORT = 65_535;

  private final Forkd forkd;

  NetworkResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.get("/v1/sandboxes/{id}/network", this::get),
        Route.put("/v1/sandboxes/{id}/network", this::set),
        Route.get("/v1/sandboxes/{id}/ports", this::ports),
        Route.post("/v1/sandboxes/{id}/ports", this::publish),
        Route.delete("/v1/sandboxes/{id}/ports/{port}", this::unpublish));
  }

  private Reply get(Call call) {
    return Reply.ok(network(forkd.handle(new Request.GetNetwork(call.sandbox()))));
  }

  private Reply set(Call call) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    Body body = call.body();
    Network kind =
        Network.of(body.requireText("network"))
            .orElseThrow(() -> Body.invalid("field `network` must be none, local or nat"));
    Optional<List<Destination>> allow =
        body.has("allow")
            ? Optional.of(body.arguments("allow").stream().map(Destination::of).toList())
            : Optional.empty();
    NetworkPolicy policy = new NetworkPolicy(kind, allow);
    return Reply.ok(network(forkd.handle(new Request.SetNetwork(id, policy))));
  }

  private Reply ports(Call call) {
    Request.ListPorts request = new Request.ListPorts(call.sandbox());
    return Reply.ok(Shapes.list(forkd.handle(request), NetworkResource::port));
  }

  private Reply publish(Call call) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    Body body = call.body();
    long port = body.whole("port").orElseThrow(() -> Body.invalid("missing field `port`"));
    long hostPort = body.whole("host_port").orElse(0);
    if (port < 1 || port > MAX_PORT || hostPort > MAX_PORT) {
      throw Body.invalid("fields `port` and `host_port` are at most 65535, and `port` is not 0");
    }
    String address = body.text("address").orElse(LOOPBACK);
    Destination parsed = Destination.of(address);
    if (parsed.isName() || !parsed.toString().equals(parsed.host())) {
      throw Body.invalid("field `address` must be an IPv4 address of this host");
    }
    Request.PublishPort request = new Request.PublishPort(id, (int) port, address, (int) hostPort);
    return Reply.created(port(forkd.handle(request)));
  }

  private Reply unpublish(Call call) {
    String text = call.parameter("port");
    if (!text.matches("[0-9]{1,5}")) {
      throw new ForkdException(FailureKind.NOT_FOUND, "no port is called \"" + text + "\"");
    }
    forkd.handle(new Request.UnpublishPort(call.sandbox(), Integer.parseInt(text)));
    return Reply.done();
  }

  private static ObjectNode network(SandboxNetwork network) {
    ObjectNode node =
        Json.object()
            .put("network", network.policy().kind().word())
            .put("netns", network.netns().orElse(null));
    network
        .policy()
        .allow()
        .ifPresentOrElse(
            allow -> {
              ArrayNode list = node.putArray("allow");
              allow.forEach(destination -> list.add(destination.toString()));
            },
            () -> node.putNull("allow"));
    ArrayNode refused = node.putArray("refused");
    network.refused().forEach(refused::add);
    node.set("ports", Shapes.list(network.ports(), NetworkResource::port));
    return node;
  }

  private static ObjectNode port(PublishedPort port) {
    return Json.object()
        .put("port", port.port())
        .put("address", port.address())
        .put("host_port", port.hostPort());
  }
}
