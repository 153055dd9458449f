package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.ProgramStream;
import dev.forkd.fanout.Interpreter;
import dev.forkd.fanout.Project;
import dev.forkd.fanout.Run;
import dev.forkd.fanout.Suite;
import dev.forkd.fanout.Templates;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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
  /** All that a template is refused for: with --doctor it is told instead. */
  private static final List<String> HAZARDS =
      List.of(
          "asyncio",
          "child_process",
          "cuda",
          "device",
          "event_fd",
          "file",
          "native_thread",
          "pipe",
          "shared_mapping",
          "socket",
          "thread");

  private static final String PDB = "--pdb";
  private static final Duration LONGEST = Duration.ofHours(23);

  @Parameters(arity = "0..*", paramLabel = "ARG", description = "pytest's arguments.")
  private List<String> args = List.of();

  @Mixin private TestOptions options = new TestOptions();

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
      names = PDB,
      description = "Keep the process of a test that fails, and debug it at this terminal.")
  private boolean pdb;

  @Option(
      names = "--no-daemon",
      description = "Where no daemon runs: leave none behind; nothing is warm the next time.")
  private boolean noDaemon;

  @Option(
      names = "--merge",
      description = "The arguments are files that --part wrote: tell of them as of one run.")
  private boolean merge;

  @Option(
      names = {"--junitxml", "--junit-xml"},
      paramLabel = "FILE",
      description = "pytest's JUnit report; with --merge, one of all shards.")
  private String junit = "";

  @Option(names = "--watch", description = "Run again when a file changes, until Ctrl-C.")
  private boolean watch;

  @Option(names = "--no-display", description = "No bar at the terminal, but pytest's own dots.")
  private boolean noDisplay;

  @Option(
      names = {"-q", "--quiet"},
      description = "Say nothing of forkd's own.")
  private boolean quiet;

  Test(Session session) {
    super(session);
  }

  @Override
  public Integer call() throws IOException {
    options.check();
    if (merge) {
      return new TestMerge(session).run(args, options.jsonLines(), junit);
    }
    if (!noDaemon || runs()) {
      return super.call();
    }
    try (PrivateDaemon daemon = PrivateDaemon.start(session);
        ForkdClient client = daemon.client()) {
      return run(client, daemon.state());
    }
  }

  @Override
  int run(ForkdClient client) throws IOException {
    return run(client, session.directories().state());
  }

  private int run(ForkdClient client, Path state) throws IOException {
    Path notes = state.resolve("tests");
    if (!watch) {
      return once(client, notes, suite()).code();
    }
    Suite suite = suite();
    Templates templates = new Templates(client, notes, event -> {});
    return new Watch(session, () -> templates.now(suite)).run(() -> once(client, notes, suite));
  }

  private Watch.Ran once(ForkdClient client, Path notes, Suite suite) throws IOException {
    ObjectNode settings = options.json(session.console());
    long began = System.nanoTime();
    AtomicBoolean interrupted = new AtomicBoolean();
    settings.put("debug", debugs()).put("display", displays());
    try (Progress progress = new Progress(session.console());
        Keyboard keyboard = new Keyboard(session.console().in());
        StatusLines display = display();
        Run run =
            Run.of(
                client,
                suite,
                new Templates(client, notes, event -> show(progress, event)),
                (sandbox, program) -> {
                  display.show(Json.object()); // the terminal is another's
                  return plainly(client, keyboard, sandbox, program);
                },
                new Run.Shown(
                    display.above(session.console().out()),
                    display.above(session.console().err()),
                    display::show));
        var _ =
            session
                .console()
                .signals()
                .handle(number -> {
                  interrupted.set(true);
                  run.interrupt();
                })) {
      progress.close();
      int code = run.run(settings);
      finished(run, (System.nanoTime() - began) / 1e9);
      return new Watch.Ran(code, run.template(), interrupted.get());
    }
  }

  private StatusLines display() {
    return new StatusLines(session.console().out(), session.console().env("NO_COLOR").isEmpty());
  }

  /** Whether a person looks at a terminal that knows control sequences. */
  private boolean displays() {
    Console console = session.console();
    String kind = console.env("TERM");
    return console.terminal().out()
        && console.env("CI").isEmpty()
        && !kind.isEmpty()
        && !kind.equals("dumb")
        && !noDisplay
        && !options.repeats();
  }

  private void finished(Run run, double seconds) throws IOException {
    if (summary().isPresent() && !run.summary().isEmpty()) {
      Files.writeString(
          summary().get(), run.summary(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
    if (!quiet) {
      session.note(
          "forkd: %s, %d sandbox%s, %.2f s"
              .formatted(
                  run.fresh() ? "collected" : "warm",
                  run.workers(),
                  run.workers() == 1 ? "" : "es",
                  seconds));
    }
  }

  /** A pytest that shows help, or that is debugged: with the user's terminal where it is one. */
  private ExitStatus plainly(
      ForkdClient client, Keyboard keyboard, SandboxId sandbox, ObjectNode program)
      throws IOException {
    Console.Terminal own = session.console().terminal();
    boolean terminal = atTerminal();
    program.put("stdin", terminal);
    if (terminal) {
      program.putObject("pty").put("columns", own.columns());
    }
    try (ProgramStream stream = client.start(sandbox, "exec", program, LONGEST)) {
      return new Attached(session.console(), keyboard, stream).follow(terminal, terminal, LONGEST);
    }
  }

  /**
   * Whether a worker whose test fails gets the terminal. Without one, and where tests are run over
   * and over, --pdb is an argument as any other: the template's pytest takes it.
   */
  private boolean debugs() {
    return pdb() && atTerminal() && !options.repeats();
  }

  /** Whether a person can be asked, and answer. */
  private boolean atTerminal() {
    Console.Terminal own = session.console().terminal();
    return own.in() && own.out();
  }

  private boolean pdb() {
    return pdb || args.contains(PDB);
  }

  private List<String> templateArgs() {
    List<String> all = new ArrayList<>(args);
    all.removeIf(PDB::equals);
    if (pdb() && !debugs()) {
      all.add(PDB);
    }
    if (!junit.isEmpty()) {
      all.add("--junitxml=" + junit);
    }
    return all;
  }

  private static void show(Progress progress, JsonNode event) {
    switch (event.path("phase").asString("")) {
      case "image" -> progress.phase("forkd: copying the project", 0, 0);
      case "warm" -> progress.phase("forkd: collecting", 0, 0);
      default -> {
        return; // the log of a warm-up: pytest says the same, and later
      }
    }
  }

  /** The page of a CI job, where there is one: what is appended to it is shown there. */
  private Optional<Path> summary() {
    String place = session.console().env("GITHUB_STEP_SUMMARY");
    return place.isEmpty() ? Optional.empty() : Optional.of(session.console().path(place));
  }

  private Suite suite() throws IOException {
    Console console = session.console();
    Path cwd = console.cwd().toRealPath();
    Path root = Project.root(cwd);
    String named = python.isEmpty() ? "" : console.path(python).toString();
    return new Suite(
        root,
        cwd,
        templateArgs(),
        Interpreter.find(named, console.env("VIRTUAL_ENV"), root),
        Project.environment(console.env()),
        options.doctor() ? HAZARDS : allow,
        console.terminal().out(),
        options.memoryMib(),
        options.shared());
  }
}
