package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

@Command(
    name = "top",
    description = {
      "Shows the sandboxes that run, those with the most memory first, again and again.",
      "Where its output is no terminal it shows them once."
    },
    footer = {"", "Example:", "  forkd top -n 20"})
final class Top extends DaemonCommand {
  private static final String HOME_AND_CLEAR = "\033[H\033[2J";

  @Option(
      names = {"-n", "--rows"},
      paramLabel = "N",
      description = "Sandboxes at the most; default 40.")
  private int rows = 40;

  @Option(
      names = {"-d", "--delay"},
      paramLabel = "S",
      description = "Seconds between two looks; default 2.")
  private double delay = 2;

  @Option(names = "--once", description = "Look once.")
  private boolean once;

  Top(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    Duration pause = seconds(delay);
    CountDownLatch told = new CountDownLatch(1);
    try (var _ = session.console().signals().handle(_ -> told.countDown())) {
      if (once || !session.console().terminal().out()) {
        look(client).forEach(session::say);
        return 0;
      }
      do {
        session.console().out().print(HOME_AND_CLEAR);
        look(client).forEach(session::say);
        if (session.console().out().checkError()) {
          return 0; // nobody looks any more
        }
      } while (!told.await(pause.toMillis(), TimeUnit.MILLISECONDS));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return 0;
  }

  private List<String> look(ForkdClient client) {
    List<JsonNode> sandboxes = new ArrayList<>();
    client.sandboxes().forEach(sandboxes::add);
    long bytes = sandboxes.stream().mapToLong(Top::bytes).sum();
    sandboxes.sort(Comparator.comparingLong(Top::bytes).reversed());
    Table table = new Table("ID", "NAME", "SNAPSHOT", "RUNTIME", "MEMORY", "LIMIT", "LEFT", "AGE");
    long now = System.currentTimeMillis() / 1000;
    sandboxes.stream().limit(Math.max(1, rows)).forEach(one -> row(table, one, now));
    List<String> lines = new ArrayList<>();
    lines.add("%d sandboxes, %s counted".formatted(sandboxes.size(), size(bytes)));
    lines.addAll(table.lines());
    if (sandboxes.size() > rows) {
      lines.add("(%d more)".formatted(sandboxes.size() - rows));
    }
    return lines;
  }

  private static void row(Table table, JsonNode sandbox, long now) {
    JsonNode left = sandbox.path("expires_in_ms");
    table.row(
        sandbox.path("id").asString("-"),
        sandbox.path("name").isString() ? sandbox.path("name").stringValue() : "-",
        sandbox.path("snapshot_tag").asString("-"),
        sandbox.path("runtime").asString("-"),
        sandbox.path("memory_bytes").isNumber() ? size(bytes(sandbox)) : "-",
        sandbox.path("memory_limit_mib").isNumber()
            ? size(sandbox.path("memory_limit_mib").asLong(0) << 20)
            : "-",
        left.isNumber() ? Images.age(left.asLong(0) / 1000) : "-",
        Images.age(now - sandbox.path("created_at_unix").asLong(now)));
  }

  private static long bytes(JsonNode sandbox) {
    return sandbox.path("memory_bytes").asLong(0);
  }

  private static String size(long bytes) {
    return "%.1f MiB".formatted(bytes / 1048576.0);
  }
}
