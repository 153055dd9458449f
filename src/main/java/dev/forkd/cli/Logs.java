package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "logs",
    description = {
      "Tells what happened to a sandbox, the newest last, and what its network refused it.",
      "Refused: addresses and names of the last hour, while the sandbox runs."
    },
    footer = {"", "Example:", "  forkd logs sb-686f1a2b-0000"})
final class Logs extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Option(
      names = {"-n", "--limit"},
      paramLabel = "N",
      description = "Events at the most, 1 to 1000; default 100.")
  private int limit = 100;

  @Option(names = "--json", description = "Print events and refused as one object.")
  private boolean json;

  Logs(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    SandboxId sandbox = new SandboxId(id);
    List<JsonNode> events = Events.oldestFirst(client.events(limit, sandbox));
    List<String> refused = refused(client, sandbox, !events.isEmpty());
    if (json) {
      ObjectNode told = Json.object();
      ArrayNode list = told.putArray("events");
      events.forEach(list::add);
      ArrayNode words = told.putArray("refused");
      refused.forEach(words::add);
      session.json(told);
      return 0;
    }
    events.forEach(event -> session.say(Events.told(event)));
    refused.forEach(what -> session.say(Table.printable("refused in the last hour: " + what)));
    return 0;
  }

  /** Of one that has ended nobody knows any more; that it is unknown is told when nothing is. */
  private static List<String> refused(ForkdClient client, SandboxId sandbox, boolean known) {
    try {
      List<String> refused = new ArrayList<>();
      client.network(sandbox).path("refused").forEach(what -> refused.add(what.asString("")));
      return refused;
    } catch (ForkdException e) {
      boolean hasEnded = e.kind() == FailureKind.NOT_FOUND || e.kind() == FailureKind.CONFLICT;
      if (known && hasEnded) {
        return List.of();
      }
      throw e;
    }
  }
}
