package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.SandboxId;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "ping",
    description = "Asks a sandbox's agent and runtime to answer.",
    footer = {"", "Example:", "  forkd ping sb-686f1a2b-0000"})
final class Ping extends DaemonCommand {
  @Parameters(paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Ping(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    long start = System.nanoTime();
    JsonNode pong = client.ping(new SandboxId(id));
    double millis = (System.nanoTime() - start) / 1e6;
    if (json) {
      session.json(pong);
      return 0;
    }
    StringBuilder line = new StringBuilder("pong from " + id);
    line.append(" in %.1f ms: runtime %s".formatted(millis, pong.path("runtime").asString("-")));
    if (pong.path("python").isString()) {
      line.append(", python ").append(pong.path("python").stringValue());
    }
    line.append(", numpy ").append(pong.path("numpy_version").asString("not-installed"));
    session.say(Table.printable(line.toString()));
    return 0;
  }
}
