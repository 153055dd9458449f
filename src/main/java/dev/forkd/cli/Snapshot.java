package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "snapshot",
    description = {
      "Warms a recipe and freezes it as a snapshot to fork.",
      "Builds the recipe's image first, unless it is there. Progress goes to standard error.",
      "With --from-sandbox, makes a snapshot of a running sandbox, which runs on."
    },
    footer = {
      "",
      "Example:",
      "  forkd snapshot recipes/python-numpy --tag np && forkd fork np -n 4",
      "  forkd snapshot --from-sandbox sb-686f1a2b-0000 --tag loaded && forkd fork loaded -n 4"
    })
final class Snapshot extends DaemonCommand {
  @Parameters(
      arity = "0..1",
      paramLabel = "RECIPE",
      description = "A recipe file, a directory with a recipe.yaml, or the name of a bundled one.")
  private String recipe = "";

  @Option(
      names = "--tag",
      paramLabel = "TAG",
      description = "Name; default: the recipe's, or a made-up one.")
  private String tag = "";

  @Option(
      names = "--engine",
      paramLabel = "E",
      description = "process, vm or auto; default: the recipe's.")
  private String engine = "";

  @Option(names = "--replace", description = "Replace a snapshot of that tag that nobody uses.")
  private boolean replace;

  @Option(
      names = {"-l", "--label"},
      paramLabel = "K=V",
      description = "A label; may repeat.")
  private Map<String, String> labels = new LinkedHashMap<>();

  @Option(
      names = "--secrets",
      description =
          "Its memory holds secrets: tokens fork it, and use its sandboxes, only with `secrets` in"
              + " their line of the token file.")
  private boolean secrets;

  @Option(names = "--from-sandbox", paramLabel = "ID", description = "The sandbox to branch.")
  private String sandbox = "";

  @Option(
      names = "--diff",
      description = "Keep only what differs from the snapshot that it was forked from.")
  private boolean diff;

  @Option(names = "--live", description = "Stop the sandbox as shortly as can be.")
  private boolean live;

  @Option(names = "--no-wait", description = "With --live: do not wait until it is written.")
  private boolean noWait;

  @Option(names = "--json", description = "Print the snapshot as the daemon answered.")
  private boolean json;

  Snapshot(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) throws IOException {
    checkOptions();
    if (!sandbox.isEmpty()) {
      branch(client);
      return 0;
    }
    Path file = locate(session, recipe);
    ObjectNode body = body(file).put("replace", replace);
    if (secrets) {
      body.put("secrets", true);
    }
    if (!labels.isEmpty()) {
      labels.forEach(body.putObject("labels")::put);
    }
    if (!tag.isEmpty()) {
      body.put("tag", new Tag(tag).text());
    }
    EngineChoice.put(body, engine);
    JsonNode snapshot = create(session, client, body);
    if (json) {
      session.json(snapshot);
    }
    ready(session, snapshot);
    return 0;
  }

  private void checkOptions() {
    String wrong = "";
    if (recipe.isEmpty() == sandbox.isEmpty()) {
      wrong = "give either a recipe or --from-sandbox ID";
    } else if (sandbox.isEmpty() ? diff || live || noWait : forRecipes()) {
      wrong =
          sandbox.isEmpty()
              ? "--diff, --live and --no-wait go with --from-sandbox"
              : "--replace, --engine, --label and --secrets go with a recipe";
    } else if (diff && live) {
      wrong = "--diff and --live exclude each other";
    } else if (noWait && !live) {
      wrong = "--no-wait needs --live";
    }
    if (!wrong.isEmpty()) {
      throw new ForkdException(FailureKind.INVALID, wrong);
    }
  }

  private boolean forRecipes() {
    return replace || secrets || !engine.isEmpty() || !labels.isEmpty();
  }

  private void branch(ForkdClient client) {
    ObjectNode body = Json.object().put("mode", diff ? "diff" : live ? "live" : "full");
    if (!tag.isEmpty()) {
      body.put("tag", new Tag(tag).text());
    }
    if (noWait) {
      body.put("wait", false);
    }
    JsonNode snapshot = client.branch(new SandboxId(sandbox), body);
    if (json) {
      session.json(snapshot);
    } else {
      Facts.show(session, snapshot, "tag", "dir", "branched_from", "pause_ms", "status");
    }
    String warning = snapshot.path("warning").asString("");
    if (!warning.isEmpty()) {
      session.note("forkd: " + Table.printable(warning));
    }
  }

  /** The request that warms the recipe of that file. */
  static ObjectNode body(Path file) throws IOException {
    return Json.object()
        .put("recipe", Files.readString(file, StandardCharsets.UTF_8))
        .put("recipe_dir", file.resolveSibling("").toString());
  }

  static JsonNode create(Session session, ForkdClient client, ObjectNode body) {
    try (Progress progress = new Progress(session.console())) {
      return client.createSnapshot(body, event -> show(progress, event));
    }
  }

  private static void show(Progress progress, JsonNode event) {
    if (event.path("event").asString("").equals("log")) {
      progress.log("  " + event.path("line").asString(""));
    } else {
      String phase = event.path("phase").asString("");
      String message = event.path("message").asString("");
      progress.phase(
          phase.isEmpty() ? message : phase + ": " + message,
          event.path("done").asLong(0),
          event.path("total").asLong(0));
    }
  }

  static void ready(Session session, JsonNode snapshot) {
    String name = snapshot.path("tag").asString("");
    String took =
        snapshot.has("warm_ms") ? " (warm-up " + snapshot.path("warm_ms").asString() + " ms)" : "";
    session.note("✓ tag '" + name + "' ready. Try: forkd fork --tag " + name + " --n 10" + took);
  }

  /** The recipe file that a file, a directory or the name of a bundled recipe stands for. */
  static Path locate(Session session, String name) {
    Path given = session.console().path(name);
    Path bundled = session.wiring().home().resolve("recipes");
    for (Path path : java.util.List.of(given, given.resolve("recipe.yaml"))) {
      if (Files.isRegularFile(path)) {
        return path;
      }
    }
    Path inside = bundled.resolve(name).resolve("recipe.yaml").normalize();
    if (!Files.exists(given) && inside.startsWith(bundled) && Files.isRegularFile(inside)) {
      return inside;
    }
    throw new ForkdException(
        FailureKind.NOT_FOUND,
        "no recipe at "
            + given
            + ": give a recipe file, a directory with a recipe.yaml, or a name below "
            + bundled);
  }
}
