package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "bench",
    description = {
      "Measures this daemon on this machine with one of its snapshots.",
      "Medians over rounds; every sandbox has answered when its fork is counted as done."
    },
    footer = {"", "Example:", "  forkd bench --tag python-numpy -n 10"})
final class Bench extends DaemonCommand {
  private static final Duration LIMIT = Duration.ofSeconds(60);

  @Option(names = "--tag", required = true, paramLabel = "TAG", description = "The snapshot.")
  private String tag = "";

  @Option(
      names = {"-n", "--n"},
      paramLabel = "N",
      description = "Sandboxes of the fan-out; default 5.")
  private int n = 5;

  @Option(names = "--rounds", paramLabel = "R", description = "Default 5.")
  private int rounds = 5;

  @Option(names = "--json", description = "Print the medians in milliseconds as an object.")
  private boolean json;

  Bench(Session session) {
    super(session);
  }

  /** One row: the name of a step and how long it took, in milliseconds, each round. */
  private record Row(String name, List<Double> millis) {
    double median() {
      return millis.stream().sorted().toList().get(millis.size() / 2);
    }
  }

  private interface Step<T> {
    T run();
  }

  private final List<Row> rows = new ArrayList<>();

  @Override
  int run(ForkdClient client) {
    if (n < 1 || rounds < 1 || rounds > 1000) {
      throw new ForkdException(FailureKind.INVALID, "-n is at least 1, --rounds 1 to 1000");
    }
    for (int round = 0; round < rounds; round++) {
      round(client);
    }
    if (json) {
      ObjectNode all = Json.object();
      rows.forEach(row -> all.put(row.name(), row.median()));
      session.json(all);
      return 0;
    }
    Table table = new Table("STEP", "MEDIAN");
    rows.forEach(row -> table.row(row.name(), "%.1f ms".formatted(row.median())));
    table.lines().forEach(session::say);
    return 0;
  }

  private void round(ForkdClient client) {
    timed(
        "total",
        () -> {
          JsonNode one = timed("spawn", () -> fork(client, 1));
          SandboxId id = id(one.path(0));
          try {
            timed("exec", () -> exec(client, id));
          } finally {
            timed("destroy", () -> destroyed(client, one));
          }
          JsonNode many = timed("fanout", () -> fork(client, n));
          return timed("cleanup", () -> destroyed(client, many));
        });
  }

  private <T> T timed(String name, Step<T> step) {
    Row row =
        rows.stream()
            .filter(known -> known.name().equals(name))
            .findFirst()
            .orElseGet(() -> new Row(name, new ArrayList<>()));
    if (row.millis().isEmpty()) {
      rows.add(row);
    }
    long began = System.nanoTime();
    T result = step.run();
    row.millis().add((System.nanoTime() - began) / 1e6);
    return result;
  }

  private JsonNode fork(ForkdClient client, int count) {
    return client.fork(Json.object().put("snapshot_tag", tag).put("n", count));
  }

  private static JsonNode exec(ForkdClient client, SandboxId id) {
    ObjectNode body = Json.object().put("warm", false);
    body.putArray("args").add("true");
    return client.exec(id, body, LIMIT);
  }

  private static boolean destroyed(ForkdClient client, JsonNode sandboxes) {
    sandboxes.forEach(sandbox -> client.destroy(id(sandbox)));
    return true;
  }

  private static SandboxId id(JsonNode sandbox) {
    return new SandboxId(sandbox.path("id").asString(""));
  }
}
