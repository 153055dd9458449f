package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "network",
    description = {
      "Tells or changes what a running sandbox may reach.",
      "Without a KIND: what it may reach, and what it was refused in the last hour."
    },
    footer = {
      "",
      "Example:",
      "  forkd network sb-686f1a2b-0000 nat --allow pypi.org:443 --allow 10.0.0.5/32:5432"
    })
final class NetworkCommand extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "KIND",
      description =
          "none: itself; local: only the host reaches it; nat: public addresses, or what --allow"
              + " names.")
  private String kind = "";

  @Option(
      names = "--allow",
      paramLabel = "DEST",
      description =
          "HOST[:PORT[-PORT]][/udp], HOST an address, ADDRESS/BITS or a name; may repeat. Nothing"
              + " else is reached then.")
  private List<String> allow = List.of();

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  NetworkCommand(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode told = kind.isEmpty() ? ask(client) : change(client);
    if (json) {
      session.json(told);
      return 0;
    }
    JsonNode allowed = told.path("allow");
    session.say(
        "network "
            + told.path("network").asString("")
            + (told.path("netns").isString() ? " (" + told.path("netns").stringValue() + ")" : "")
            + (allowed.isArray() ? ", nothing but:" : ""));
    lines("  ", allowed);
    if (told.path("refused").size() > 0) {
      session.say("refused in the last hour:");
      lines("  ", told.path("refused"));
    }
    told.path("ports").forEach(port -> session.say("published " + PortCommand.told(port)));
    return 0;
  }

  private void lines(String indent, JsonNode texts) {
    texts.forEach(text -> session.say(Table.printable(indent + text.asString(""))));
  }

  private JsonNode ask(ForkdClient client) {
    if (!allow.isEmpty()) {
      throw new ForkdException(
          FailureKind.INVALID,
          "--allow goes with a KIND: forkd network " + id + " nat --allow ...");
    }
    return client.network(new SandboxId(id));
  }

  private JsonNode change(ForkdClient client) {
    ObjectNode body = Json.object().put("network", kind);
    if (!allow.isEmpty()) {
      ArrayNode list = body.putArray("allow");
      allow.forEach(list::add);
    }
    return client.network(new SandboxId(id), body);
  }
}
