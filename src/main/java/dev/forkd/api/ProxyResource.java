package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import dev.forkd.service.Forkd;
import java.util.List;
import java.util.stream.Stream;

/**
 * {@code /v1/sandboxes/{id}/proxy/{port}/…}: HTTP of a port on a sandbox's loopback, through the
 * daemon's own port. Needs no network of the sandbox.
 */
final class ProxyResource {
  static final String TEMPLATE = "/v1/sandboxes/{id}/proxy/{port}/{path...}";

  private static final int MAX_PORT = 65_535;

  private final Forkd forkd;

  ProxyResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return Stream.of("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        .map(method -> new Route(method, TEMPLATE, this::pass))
        .toList();
  }

  private Reply pass(Call call) {
    SandboxId id = call.sandbox();
    int port = port(call.parameter("port"));
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad request
    if (!call.header("upgrade").isEmpty()) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "the proxy passes HTTP requests on, and no WebSockets: publish the port (`forkd port`)");
    }
    ProxiedRequest request = ProxiedRequest.of(call, id, port);
    StartedProgram connection = forkd.handle(new Request.Connect(id, port));
    try {
      return ProxiedReply.read(request, connection);
    } catch (RuntimeException e) {
      connection.close();
      throw e;
    }
  }

  private static int port(String text) {
    if (!text.matches("[1-9][0-9]{0,4}") || Integer.parseInt(text) > MAX_PORT) {
      throw Body.invalid("a port is 1 to " + MAX_PORT + ", not \"" + text + "\"");
    }
    return Integer.parseInt(text);
  }
}
