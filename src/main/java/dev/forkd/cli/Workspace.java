package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "workspace",
    customSynopsis = {
      "forkd workspace create NAME --snapshot TAG [OPTION]...",
      "       forkd workspace suspend NAME [--diff]",
      "       forkd workspace resume NAME [--fresh]",
      "       forkd workspace delete NAME",
      "       forkd workspace list"
    },
    description = "Sandboxes that have a name, and can be suspended and resumed.",
    footer = {
      "",
      "Example:",
      "  forkd workspace create mine --snapshot np && forkd workspace suspend mine"
    })
final class Workspace extends DaemonCommand {
  @Parameters(
      index = "0",
      paramLabel = "ACTION",
      description = "create, suspend, resume, list or delete.")
  private String action = "";

  @Parameters(index = "1", arity = "0..1", paramLabel = "NAME", description = "The workspace.")
  private String name = "";

  @Option(names = "--snapshot", paramLabel = "TAG", description = "create: what it begins from.")
  private String snapshot = "";

  @Option(
      names = "--memory-limit-mib",
      paramLabel = "M",
      description = "create: memory limit in MiB, kept over suspends; default: the recipe's.")
  private long memoryLimitMib;

  @Option(names = "--per-child-netns", hidden = true, description = "Every child has one anyway.")
  private boolean perChildNetns;

  @Option(names = "--diff", description = "suspend: save only what differs from its snapshot.")
  private boolean diff;

  @Option(names = "--fresh", description = "resume: from its snapshot, whatever was saved.")
  private boolean fresh;

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Workspace(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    switch (action) {
      case "create" -> tell(client.createWorkspace(creation()));
      case "suspend" -> tell(client.suspendWorkspace(name(), diff));
      case "resume" -> tell(client.resumeWorkspace(name(), fresh));
      case "list" -> list(client.workspaces());
      case "delete" -> {
        client.deleteWorkspace(name());
        session.say("  ✓ " + name);
      }
      default ->
          throw new ForkdException(
              FailureKind.INVALID,
              "\"" + action + "\" is none of create, suspend, resume, list, delete");
    }
    return 0;
  }

  private Tag name() {
    if (name.isEmpty()) {
      throw new ForkdException(FailureKind.INVALID, "name the workspace: forkd workspace list");
    }
    return Tag.of("workspace name", name);
  }

  private ObjectNode creation() {
    ObjectNode body =
        Json.object()
            .put("name", name().text())
            .put("snapshot_tag", Tag.of("--snapshot", snapshot).text())
            .put("per_child_netns", perChildNetns);
    return memoryLimitMib > 0 ? body.put("memory_limit_mib", memoryLimitMib) : body;
  }

  private void tell(JsonNode workspace) {
    if (json) {
      session.json(workspace);
    } else {
      Facts.show(
          session,
          workspace,
          "name",
          "id",
          "status",
          "source_snapshot_tag",
          "current_state_tag",
          "live_sandbox_id");
    }
  }

  private void list(JsonNode workspaces) {
    if (json) {
      session.json(workspaces);
      return;
    }
    if (workspaces.isEmpty()) {
      session.say("no workspaces");
      return;
    }
    Table table = new Table("NAME", "STATUS", "SNAPSHOT", "SANDBOX", "STATE", "IDLE");
    long now = System.currentTimeMillis() / 1000;
    for (JsonNode workspace : workspaces) {
      table.row(
          workspace.path("name").asString("-"),
          workspace.path("status").asString("-"),
          workspace.path("source_snapshot_tag").asString("-"),
          workspace.path("live_sandbox_id").asString("-"),
          workspace.path("current_state_tag").asString("-"),
          Images.age(now - workspace.path("last_active_unix").asLong(now)));
    }
    table.lines().forEach(session::say);
  }
}
