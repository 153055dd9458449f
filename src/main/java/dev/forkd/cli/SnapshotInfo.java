package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.Tag;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "snapshot-info",
    description = "Tells what is known of a snapshot, and which others need it or are needed.",
    footer = {"", "Example:", "  forkd snapshot-info np --json | jq .chain_depth"})
final class SnapshotInfo extends DaemonCommand {
  @Parameters(paramLabel = "TAG", description = "The snapshot.")
  private String tag = "";

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  SnapshotInfo(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode info = client.snapshot(new Tag(tag));
    if (json) {
      session.json(info);
      return 0;
    }
    if (info instanceof ObjectNode object) {
      long created = object.path("created_at_unix").asLong(0);
      object.put("created", java.time.Instant.ofEpochSecond(created).toString());
    }
    Facts.show(
        session,
        info,
        "tag",
        "dir",
        "created",
        "engine",
        "status",
        "warning",
        "labels",
        "secrets",
        "branched_from",
        "parent_tag",
        "parent_content_hash",
        "memory_logical_bytes",
        "memory_physical_bytes",
        "vmstate_bytes",
        "chain_depth",
        "ancestors",
        "dependents");
    return 0;
  }
}
