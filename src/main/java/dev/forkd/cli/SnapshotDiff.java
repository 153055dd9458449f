package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "snapshot-diff",
    description = {
      "Makes a snapshot on top of another one: forks a sandbox, runs a command in it,",
      "keeps what differs, destroys the sandbox. A command that fails leaves nothing."
    },
    footer = {
      "",
      "Example:",
      "  forkd snapshot-diff --from np --tag np-data --exec \"python3 load.py 'my data'\""
    })
final class SnapshotDiff extends DaemonCommand {
  @Option(names = "--from", required = true, paramLabel = "TAG", description = "The parent.")
  private String from = "";

  @Option(names = "--tag", required = true, paramLabel = "TAG", description = "The new one's name.")
  private String tag = "";

  @Option(
      names = "--exec",
      paramLabel = "CMD",
      description = "Command line; quotes group words, no shell sees it. Default: nothing is run.")
  private String exec = "";

  @Option(
      names = "--exec-timeout-secs",
      paramLabel = "S",
      description = "Seconds that the command may take; default 600.")
  private double timeout = 600;

  @Option(names = "--json", description = "Print the snapshot as the daemon answered.")
  private boolean json;

  SnapshotDiff(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    Tag parent = Tag.of("source tag", from);
    ObjectNode body =
        Json.object()
            .put("tag", new Tag(tag).text())
            .put("mode", "diff")
            .put("parent_tag", parent.text());
    List<String> words = Words.split(exec);
    JsonNode children = client.fork(Json.object().put("snapshot_tag", parent.text()).put("n", 1));
    SandboxId id = new SandboxId(children.path(0).path("id").asString(""));
    JsonNode snapshot;
    try {
      if (!words.isEmpty()) {
        exec(client, id, words);
      }
      snapshot = client.branch(id, body);
    } finally {
      client.destroy(id);
    }
    if (json) {
      session.json(snapshot);
    } else {
      Facts.show(session, snapshot, "tag", "dir", "parent_tag", "pause_ms", "diff_physical_bytes");
    }
    return 0;
  }

  private void exec(ForkdClient client, SandboxId id, List<String> words) {
    ObjectNode body = Json.object();
    ArrayNode args = body.putArray("args");
    words.forEach(args::add);
    JsonNode done = client.exec(id, body, seconds(timeout));
    session.console().err().print(done.path("stdout").asString(""));
    session.console().err().print(done.path("stderr").asString(""));
    int code = done.path("exit_code").asInt(1);
    if (code != 0 || done.path("timed_out").asBoolean(false)) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "the command "
              + (done.path("timed_out").asBoolean(false) ? "ran out of time" : "ended with " + code)
              + " in sandbox "
              + id
              + ": no snapshot was made");
    }
  }
}
