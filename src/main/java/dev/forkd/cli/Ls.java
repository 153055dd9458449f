package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.Tag;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

@Command(
    name = "ls",
    description = "Lists the sandboxes that run.",
    footer = {"", "Example:", "  forkd ls --json | jq -r '.[].id'"})
final class Ls extends DaemonCommand {
  @Option(
      names = {"-a", "--all"},
      description = "Also those that have ended by themselves, with the reason in STATE.")
  private boolean all;

  @Option(names = "--tag", paramLabel = "TAG", description = "Only those forked from TAG.")
  private String tag = "";

  @Option(names = "--name", paramLabel = "NAME", description = "Only the one of that name.")
  private String name = "";

  @Option(
      names = {"-l", "--label"},
      paramLabel = "K=V",
      description = "Only those with that label; may repeat.")
  private Map<String, String> labels = new LinkedHashMap<>();

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Ls(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode sandboxes =
        client.sandboxes(
            new SandboxFilter(
                all,
                tag.isEmpty() ? Optional.empty() : Optional.of(Tag.of("tag", tag)),
                name,
                labels,
                "",
                0));
    if (json) {
      session.json(sandboxes);
      return 0;
    }
    Table table =
        new Table("ID", "SNAPSHOT", "PID", "NETNS", "BRANCHES", "GUEST_ADDR", "STATE", "READY");
    sandboxes.forEach(sandbox -> row(table, sandbox));
    if (sandboxes.isEmpty()) {
      session.say(all ? "no sandboxes" : "no live sandboxes");
    } else {
      table.lines().forEach(session::say);
    }
    return 0;
  }

  private static void row(Table table, JsonNode sandbox) {
    String ended = sandbox.path("ended").asString("");
    String state = sandbox.path("state").asString("running");
    table.row(
        sandbox.path("id").asString("-"),
        sandbox.path("snapshot_tag").asString("-"),
        sandbox.path("pid").asString("-"),
        sandbox.path("netns").isString() ? sandbox.path("netns").stringValue() : "-",
        sandbox.path("branch_count").asString("0"),
        sandbox.path("guest_addr").asString("-"),
        ended.isEmpty() ? state : state + ": " + ended,
        "%.1f ms".formatted(sandbox.path("ready_ms").asDouble(0)));
  }
}
