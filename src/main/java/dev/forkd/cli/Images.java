package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.SnapshotFilter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

@Command(
    name = "images",
    description = "Lists the snapshots that can be forked.",
    footer = {"", "Example:", "  forkd images"})
final class Images extends DaemonCommand {
  @Option(
      names = {"-l", "--label"},
      paramLabel = "K=V",
      description = "Only those with that label; may repeat.")
  private Map<String, String> labels = new LinkedHashMap<>();

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Images(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    JsonNode snapshots = client.snapshots(new SnapshotFilter(Optional.empty(), labels, "", "", 0));
    if (json) {
      session.json(snapshots);
      return 0;
    }
    if (snapshots.isEmpty()) {
      session.say(
          labels.isEmpty()
              ? "no snapshots; make one with `forkd snapshot RECIPE`"
              : "no snapshot has these labels");
      return 0;
    }
    Table table = new Table("TAG", "ENGINE", "STATUS", "WARM", "SANDBOXES", "RECIPE", "AGE");
    long now = System.currentTimeMillis() / 1000;
    for (JsonNode snapshot : snapshots) {
      String warning = snapshot.path("warning").asString("");
      String status = snapshot.path("status").asString("-");
      table.row(
          snapshot.path("tag").asString("-"),
          snapshot.path("engine").asString("-"),
          warning.isEmpty() ? status : status + " (" + warning + ")",
          snapshot.path("warm").asBoolean(false) ? "yes" : "no",
          snapshot.path("sandboxes").asString("0"),
          snapshot.path("recipe").asString("-"),
          age(now - snapshot.path("created_at_unix").asLong(now)));
    }
    table.lines().forEach(session::say);
    return 0;
  }

  /** A length of time in its largest unit: 5s, 3m, 2h, 4d. */
  static String age(long seconds) {
    if (seconds < 60) {
      return Math.max(0, seconds) + "s";
    }
    if (seconds < 3600) {
      return seconds / 60 + "m";
    }
    return seconds < 86_400 ? seconds / 3600 + "h" : seconds / 86_400 + "d";
  }
}
