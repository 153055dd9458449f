package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.SandboxId;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "wait",
    description = "Waits until a sandbox answers, or until it has ended.",
    footer = {"", "Example:", "  forkd wait sb-686f1a2b-0000 --ended --timeout 600"})
final class Wait extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Option(names = "--ended", description = "Until it has ended by itself; prints how.")
  private boolean ended;

  @Option(
      names = {"--timeout", "--timeout-secs"},
      paramLabel = "S",
      description = "Seconds after which this gives up (exit code 8); default 30.")
  private double timeout = 30;

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Wait(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode sandbox = client.await(new SandboxId(id), ended, seconds(timeout));
    if (json) {
      session.json(sandbox);
    } else if (ended) {
      session.say(Table.printable(sandbox.path("ended").asString("")));
    }
    return 0;
  }
}
