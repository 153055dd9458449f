package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "quickstart",
    description = {
      "From nothing to a result, in one command.",
      "Checks the machine, installs what is missing, starts the daemon, warms the recipe",
      "ci-parallel-pytest and fans its tests out over forked sandboxes."
    },
    footer = {"", "Example:", "  sudo forkd quickstart --yes"})
final class Quickstart implements Callable<Integer> {
  private static final String RECIPE = "ci-parallel-pytest";
  private static final String TAG = "ci-pytest";

  @Option(
      names = {"-y", "--yes"},
      description = "Install missing packages without asking.")
  private boolean yes;

  @Option(names = "-n", paramLabel = "N", description = "Sandboxes to fan out over; default 4.")
  private int workers = 4;

  @Option(
      names = "--engine",
      paramLabel = "E",
      description = "process, vm or auto; default: the recipe's.")
  private String engine = "";

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;
  private final Path home;

  Quickstart(Session session) {
    this.session = session;
    this.home = session.wiring().home();
  }

  @Override
  public Integer call() throws IOException {
    if (workers < 1 || workers > 1000) {
      throw new ForkdException(FailureKind.INVALID, "-n is " + workers + ", not 1..1000");
    }
    EngineChoice.check(engine);
    step(1, "this machine");
    gate();
    step(2, "packages");
    if (run(setup()) != 0) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED, "packages are missing (see above); --yes installs them");
    }
    step(3, "daemon and snapshot '" + tag() + "'");
    try (ForkdClient client = session.client("", "")) {
      warm(client);
    }
    step(4, "fan-out over " + workers + " sandboxes");
    int code = run(demo());
    session.say("");
    session.say("Next: forkd images          what can be forked");
    session.say(
        "      forkd fork " + tag() + " -n 4  sandboxes of your own; then forkd exec, call, eval");
    session.say("      recipes/README.md     recipes by the problem they solve");
    return code;
  }

  private void step(int number, String what) {
    session.say("[" + number + "/4] " + what);
    session.console().out().flush();
  }

  private List<String> setup() {
    List<String> command = new ArrayList<>(List.of(home.resolve("scripts/setup.sh").toString()));
    if (yes) {
      command.add("--yes");
    }
    command.addAll(List.of("run", "test"));
    if (isVm()) {
      command.add("vm");
    }
    return command;
  }

  private boolean isVm() {
    return engine.equals(EngineName.VM.word());
  }

  /** Both can be warm side by side. */
  private Tag tag() {
    return new Tag(isVm() ? TAG + "-vm" : TAG);
  }

  private void gate() {
    List<Check> checks = Doctor.examine(session);
    List<Check> bad =
        checks.stream()
            .filter(check -> check.verdict() == Check.Verdict.FAIL)
            .filter(check -> !check.name().equals(HostChecks.PYTHON)) // the next step installs it
            .toList();
    if (bad.isEmpty()) {
      session.say("  ✓ " + Doctor.count(checks, Check.Verdict.PASS) + " checks passed");
      return;
    }
    Doctor.show(session, bad);
    throw new ForkdException(
        FailureKind.UNSUPPORTED, "this machine cannot run forkd yet (see above)");
  }

  private void warm(ForkdClient client) throws IOException {
    Path recipe = home.resolve("recipes").resolve(RECIPE);
    RecipeStamp stamp = new RecipeStamp(session.directories().state(), tag());
    for (JsonNode snapshot : client.snapshots()) {
      boolean ours = snapshot.path("tag").asString("").equals(tag().text());
      if (ours && snapshot.path("warm").asBoolean(false) && stamp.fits(recipe, snapshot)) {
        session.say("  ✓ warm already");
        return;
      }
    }
    ObjectNode body = Snapshot.body(recipe.resolve("recipe.yaml"));
    body.put("tag", tag().text()).put("replace", true);
    EngineChoice.put(body, engine);
    JsonNode snapshot = Snapshot.create(session, client, body);
    stamp.write(recipe, snapshot);
    session.say("  ✓ warmed in " + snapshot.path("warm_ms").asString("?") + " ms");
  }

  private List<String> demo() {
    List<String> command = new ArrayList<>(List.of("/usr/bin/python3"));
    command.add(home.resolve("recipes").resolve(RECIPE).resolve("demo.py").toString());
    String url = session.console().env("FORKD_URL");
    command.addAll(
        url.isEmpty()
            ? List.of("--socket", session.directories().socket().toString())
            : List.of("--url", url));
    command.addAll(List.of("--tag", tag().text(), "--workers", String.valueOf(workers)));
    return command;
  }

  /** Runs a program whose output goes where ours goes; returns its exit code. */
  private int run(List<String> command) throws IOException {
    if (!Files.exists(Path.of(command.getLast())) && !Files.exists(Path.of(command.getFirst()))) {
      throw new ForkdException(FailureKind.NOT_FOUND, command.getFirst() + " is missing");
    }
    Process process =
        new ProcessBuilder(command).redirectInput(ProcessBuilder.Redirect.INHERIT).start();
    Thread errors =
        Thread.ofVirtual().start(() -> copy(process.getErrorStream(), session.console().err()));
    try {
      copy(process.getInputStream(), session.console().out());
      errors.join();
      return process.waitFor();
    } catch (InterruptedException e) {
      throw new ForkdException(FailureKind.UNAVAILABLE, "interrupted");
    } finally {
      process.destroy();
    }
  }

  private static void copy(InputStream from, OutputStream to) {
    byte[] chunk = new byte[8192];
    try (from) {
      int n;
      while ((n = from.read(chunk)) >= 0) {
        to.write(chunk, 0, n);
        to.flush();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
