package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.fanout.Interpreter;
import dev.forkd.fanout.Project;
import dev.forkd.fanout.Run;
import dev.forkd.fanout.Suite;
import dev.forkd.fanout.Templates;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "test",
    customSynopsis = "forkd test [OPTION]... [--] [PYTEST ARGUMENT]...",
    description = {
      "Runs the project's pytest suite in forked sandboxes.",
      "It is collected once, in a template that the daemon keeps; workers are forks of it and",
      "collect nothing. Output, reports and the exit code are pytest's own."
    },
    footer = {"", "Example:", "  forkd test -n 4 -- -k parser --junitxml=report.xml"})
final class Test extends DaemonCommand implements Cli.PassesExitCode {
  @Parameters(arity = "0..*", paramLabel = "ARG", description = "pytest's arguments.")
  private List<String> args = List.of();

  @Option(
      names = {"-n", "--workers"},
      paramLabel = "N",
      description = "Exactly N workers; default: as many as help, up to the cores.")
  private int workers;

  @Option(
      names = "--by",
      paramLabel = "U",
      description = "Unit of work: auto, test, file, scope or group; default auto.")
  private String by = "auto";

  @Option(
      names = "--isolate",
      paramLabel = "HOW",
      description = "child: a worker runs tests in one process; test: a fresh fork for each.")
  private String isolate = "child";

  @Option(
      names = "--timeout",
      paramLabel = "S",
      description = "Seconds that a test may take; default: its mark's, or no limit.")
  private double timeout;

  @Option(
      names = "--retries",
      paramLabel = "N",
      description = "Run a test that failed up to N times again, in fresh forks.")
  private int retries;

  @Option(
      names = "--flaky",
      paramLabel = "HOW",
      description = "What a test that passes in a retry counts as: pass or fail; default pass.")
  private String flaky = "pass";

  @Option(
      names = "--python",
      paramLabel = "PATH",
      description = "Interpreter; default: VIRTUAL_ENV's, that of .venv or venv, /usr/bin/python3.")
  private String python = "";

  @Option(
      names = "--allow",
      paramLabel = "HAZARD",
      description = "Accept what cannot be forked safely; the refusal names it. May repeat.")
  private List<String> allow = List.of();

  @Option(
      names = {"-q", "--quiet"},
      description = "Say nothing of forkd's own.")
  private boolean quiet;

  Test(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) throws IOException {
    check();
    long began = System.nanoTime();
    Suite suite = suite();
    Path notes = session.directories().state().resolve("tests");
    try (Progress progress = new Progress(session.console());
        Run run =
            Run.of(
                client,
                suite,
                new Templates(client, notes, event -> show(progress, event)),
                session.console().out(),
                session.console().err());
        var _ = session.console().signals().handle(number -> run.interrupt())) {
      progress.close();
      int code = run.run(options());
      if (!quiet) {
        session.note(
            "forkd: %s, %d sandbox%s, %.2f s"
                .formatted(
                    run.fresh() ? "collected" : "warm",
                    run.workers(),
                    run.workers() == 1 ? "" : "es",
                    (System.nanoTime() - began) / 1e9));
      }
      return code;
    }
  }

  private void show(Progress progress, JsonNode event) {
    if (event.path("event").asString("").equals("progress")) {
      progress.phase(event.path("phase").asString("collecting"), 0, 0);
    }
  }

  private void check() {
    if (workers < 0 || workers > 256 || retries < 0 || retries > 100 || timeout < 0) {
      throw new ForkdException(
          FailureKind.INVALID, "-n must be 1..256, --retries 0..100, --timeout not negative");
    }
    among("--by", by, List.of("auto", "test", "file", "scope", "group"));
    among("--isolate", isolate, List.of("child", "test"));
    among("--flaky", flaky, List.of("pass", "fail"));
  }

  private static void among(String option, String value, List<String> known) {
    if (!known.contains(value)) {
      throw new ForkdException(
          FailureKind.INVALID, option + " is " + value + ", not one of " + known);
    }
  }

  private Suite suite() throws IOException {
    Console console = session.console();
    Path cwd = console.cwd().toRealPath();
    Path root = Project.root(cwd);
    String named = python.isEmpty() ? "" : console.path(python).toString();
    return new Suite(
        root,
        cwd,
        args,
        Interpreter.find(named, console.env("VIRTUAL_ENV"), root),
        Project.environment(console.env()),
        allow,
        console.terminal().out());
  }

  private ObjectNode options() {
    ObjectNode options =
        Json.object()
            .put("workers", workers > 0 ? workers : Runtime.getRuntime().availableProcessors())
            .put("fixed", workers > 0)
            .put("by", by)
            .put("isolate", isolate)
            .put("timeout", timeout)
            .put("retries", retries)
            .put("flaky", flaky)
            .put("uid", UUID.randomUUID().toString().replace("-", ""));
    if (session.console().terminal().out()) {
      options.put("columns", session.console().terminal().columns());
    }
    return options;
  }
}
