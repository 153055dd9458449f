package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "port",
    description = {
      "Publishes a port of a running sandbox on the host, or lists those that are.",
      "On the loopback address unless --publish says otherwise."
    },
    footer = {
      "",
      "Example:",
      "  curl http://127.0.0.1:$(forkd port sb-686f1a2b-0000 8000 --quiet)/"
    })
final class PortCommand extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Parameters(index = "1", arity = "0..1", paramLabel = "PORT", description = "Port inside it.")
  private int port;

  @Option(
      names = "--publish",
      paramLabel = "[ADDRESS:]PORT",
      description = "Where on the host; default: a free port of 127.0.0.1.")
  private String publish = "";

  @Option(names = "--close", description = "Take PORT back.")
  private boolean close;

  @Option(
      names = {"-q", "--quiet"},
      description = "Print the host's port alone.")
  private boolean quiet;

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  PortCommand(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    SandboxId sandbox = new SandboxId(id);
    if (port == 0) {
      JsonNode ports = client.ports(sandbox);
      if (json) {
        session.json(ports);
      } else {
        ports.forEach(one -> session.say(told(one)));
      }
      return 0;
    }
    if (close) {
      client.unpublish(sandbox, port);
      return 0;
    }
    JsonNode made = client.publish(sandbox, body());
    if (json) {
      session.json(made);
    } else {
      session.say(quiet ? made.path("host_port").asString("") : told(made));
    }
    return 0;
  }

  private ObjectNode body() {
    ObjectNode body = Json.object().put("port", port);
    if (publish.isEmpty()) {
      return body;
    }
    int colon = publish.lastIndexOf(':');
    if (colon > 0) {
      body.put("address", publish.substring(0, colon));
    }
    try {
      return body.put("host_port", Integer.parseInt(publish.substring(colon + 1)));
    } catch (NumberFormatException e) {
      throw new ForkdException(
          FailureKind.INVALID, "--publish takes PORT or ADDRESS:PORT, not " + publish);
    }
  }

  static String told(JsonNode port) {
    return Table.printable(
        "%s:%s -> %s"
            .formatted(
                port.path("address").asString(""),
                port.path("host_port").asString(""),
                port.path("port").asString("")));
  }
}
