package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "kill",
    description = "Destroys sandboxes and everything that runs in them.",
    footer = {"", "Example:", "  forkd kill --tag np"})
final class Kill extends DaemonCommand {
  @Parameters(arity = "0..*", paramLabel = "ID", description = "Sandboxes.")
  private List<String> ids = List.of();

  @Option(names = "--all", description = "All of them.")
  private boolean all;

  @Option(names = "--tag", paramLabel = "TAG", description = "All that were forked from TAG.")
  private String tag = "";

  Kill(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    int ways = (ids.isEmpty() ? 0 : 1) + (all ? 1 : 0) + (tag.isEmpty() ? 0 : 1);
    if (ways != 1) {
      throw new ForkdException(
          FailureKind.INVALID, "say which sandboxes to kill: either IDs, or --all, or --tag TAG");
    }
    List<String> chosen = ids.isEmpty() ? chosen(client) : ids;
    if (chosen.isEmpty()) {
      session.say("no live sandboxes");
    }
    int code = 0;
    for (String id : chosen) {
      try {
        client.destroy(new SandboxId(id));
        session.say("  ✓ " + id);
      } catch (ForkdException e) {
        session.say("  ✗ " + Table.printable(id) + "  (" + e.getMessage() + ")");
        code = e.kind().exitCode();
      }
    }
    return code;
  }

  private List<String> chosen(ForkdClient client) {
    List<String> chosen = new ArrayList<>();
    for (JsonNode sandbox : client.sandboxes()) {
      if (all || sandbox.path("snapshot_tag").asString("").equals(tag)) {
        chosen.add(sandbox.path("id").asString(""));
      }
    }
    return chosen;
  }
}
