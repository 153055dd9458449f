package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.Tag;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

@Command(
    name = "snapshot-compact",
    description = {
      "Makes a snapshot that holds the same as another one and needs no parent.",
      "The other one stays."
    },
    footer = {"", "Example:", "  forkd snapshot-compact --from layer7 --to flat"})
final class SnapshotCompact extends DaemonCommand {
  @Option(
      names = "--from",
      required = true,
      paramLabel = "TAG",
      description = "The snapshot to make one of that needs no other.")
  private String from = "";

  @Option(names = "--to", required = true, paramLabel = "TAG", description = "The new one's name.")
  private String to = "";

  @Option(names = "--json", description = "Print the snapshot as the daemon answered.")
  private boolean json;

  SnapshotCompact(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode snapshot = client.compact(Tag.of("source tag", from), Tag.of("to tag", to));
    if (json) {
      session.json(snapshot);
    } else {
      Facts.show(session, snapshot, "tag", "dir", "branched_from");
    }
    return 0;
  }
}
