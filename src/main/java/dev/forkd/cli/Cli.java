package dev.forkd.cli;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Runs one command line. */
public final class Cli {
  /** What exec and call exit with when they themselves, not the program, are in trouble. */
  static final int TROUBLE = 125;

  private static final List<String> VERBS =
      List.of(
          "quickstart",
          "test",
          "snapshot",
          "snapshot-info",
          "snapshot-diff",
          "snapshot-compact",
          "images",
          "fork",
          "ls",
          "top",
          "events",
          "logs",
          "exec",
          "call",
          "cp",
          "eval",
          "attach",
          "programs",
          "ping",
          "wait",
          "kill",
          "network",
          "port",
          "rmi",
          "workspace",
          "recipe",
          "serve",
          "stop",
          "cleanup",
          "doctor",
          "bench",
          "version");

  private Cli() {}

  /** Commands whose exit code is a program's. */
  interface PassesExitCode {}

  /** -h of every command. */
  static final class Help {
    @Option(
        names = {"-h", "--help"},
        usageHelp = true,
        description = "Show this help and exit.")
    private boolean asked;
  }

  @Command(
      name = "forkd",
      description = "Forks a warmed sandbox into many isolated children in milliseconds.",
      synopsisSubcommandLabel = "COMMAND",
      commandListHeading = "%nCommands:%n",
      footer = {
        "",
        "Start here:",
        "  forkd quickstart            set up, warm a recipe and fan its tests out",
        "  forkd COMMAND --help        options and an example of each command",
        "",
        "Environment: FORKD_URL and FORKD_TOKEN name a daemon; FORKD_STATE_DIR and",
        "FORKD_RUN_DIR say where the default one keeps its things.",
        "Exit codes: 0 done, 2 wrong usage, 4 not found, 5 conflict, 6 exhausted,",
        "7 unsupported here, 8 timeout, 9 engine, 69 no daemon, 70 a defect of forkd."
      })
  private static final class Root implements Runnable {
    @Spec private CommandSpec spec = CommandSpec.create();

    @Mixin private Help help = new Help();

    @Option(
        names = {"-V", "--version"},
        description = "Print the version and exit.")
    private boolean version;

    private final Session session;

    Root(Session session) {
      this.session = session;
    }

    @Override
    public void run() {
      if (version) {
        session.say("forkd " + session.wiring().version());
      } else {
        throw new ParameterException(spec.commandLine(), "a command is missing");
      }
    }
  }

  /** Runs a command line and returns its exit code; never throws. */
  public static int run(List<String> args, Console console, Wiring wiring) {
    Session session = new Session(console, wiring);
    CommandLine line = new CommandLine(new Root(session));
    // Looking at one command by reflection takes a millisecond or two: only what is asked for.
    String first = args.isEmpty() ? "" : args.getFirst();
    List<String> wanted = known(first) ? List.of(first) : VERBS;
    wanted.forEach(verb -> line.addSubcommand(command(verb, session)));
    configure(line, console);
    int code = line.execute(args.toArray(String[]::new));
    console.out().flush();
    console.err().flush();
    return code;
  }

  private static boolean known(String word) {
    return VERBS.contains(word) || word.equals("spawn");
  }

  private static Object command(String verb, Session session) {
    return switch (verb) {
      case "quickstart" -> new Quickstart(session);
      case "test" -> new Test(session);
      case "snapshot" -> new Snapshot(session);
      case "snapshot-info" -> new SnapshotInfo(session);
      case "snapshot-diff" -> new SnapshotDiff(session);
      case "snapshot-compact" -> new SnapshotCompact(session);
      case "images" -> new Images(session);
      case "fork", "spawn" -> new Fork(session);
      case "ls" -> new Ls(session);
      case "top" -> new Top(session);
      case "events" -> new Events(session);
      case "logs" -> new Logs(session);
      case "exec" -> new Exec(session);
      case "call" -> new Call(session);
      case "cp" -> new Cp(session);
      case "eval" -> new Eval(session);
      case "attach" -> new Attach(session);
      case "programs" -> new ProgramsCommand(session);
      case "ping" -> new Ping(session);
      case "wait" -> new Wait(session);
      case "kill" -> new Kill(session);
      case "network" -> new NetworkCommand(session);
      case "port" -> new PortCommand(session);
      case "rmi" -> new Rmi(session);
      case "workspace" -> new Workspace(session);
      case "recipe" -> new RecipeFile(session);
      case "serve" -> new Serve(session);
      case "stop" -> new Stop(session);
      case "cleanup" -> new Cleanup(session);
      case "doctor" -> new Doctor(session);
      case "bench" -> new Bench(session);
      case "version" -> new Version(session);
      default -> throw new IllegalArgumentException(verb);
    };
  }

  private static void configure(CommandLine line, Console console) {
    line.setOut(new PrintWriter(console.out(), true));
    line.setErr(new PrintWriter(console.err(), true));
    line.setColorScheme(CommandLine.Help.defaultColorScheme(Ansi.OFF));
    line.setUsageHelpWidth(88);
    line.setExpandAtFiles(false);
    line.setParameterExceptionHandler((e, args) -> misused(e, console));
    line.setExecutionExceptionHandler((e, command, parsed) -> failed(e, command, console));
  }

  private static int misused(ParameterException e, Console console) {
    CommandLine command = e.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    String message = complaint(e);
    console.err().println("forkd: " + message);
    CommandLine.UnmatchedArgumentException.printSuggestions(e, command.getErr());
    if (command.getCommand() instanceof PassesExitCode && message.contains("nknown option")) {
      console.err().println("Put -- between " + name + "'s own options and the program's.");
    }
    console.err().println("Try: " + name + " --help");
    return command.getCommand() instanceof PassesExitCode
        ? TROUBLE
        : FailureKind.INVALID.exitCode();
  }

  private static String complaint(ParameterException e) {
    boolean verb = e.getCommandLine().getParent() == null;
    return verb && e instanceof CommandLine.UnmatchedArgumentException unmatched
        ? "there is no command \"" + unmatched.getUnmatched().getFirst() + "\""
        : String.valueOf(e.getMessage());
  }

  private static int failed(Exception e, CommandLine command, Console console) {
    Failure failure =
        e instanceof ForkdException known
            ? known.failure()
            : new Failure(FailureKind.INTERNAL, "a defect of forkd: " + e, trace(e));
    console.err().println("forkd: " + failure.message());
    if (!failure.detail().isEmpty()) {
      console.err().println(failure.detail().stripTrailing());
    }
    return command.getCommand() instanceof PassesExitCode ? TROUBLE : failure.kind().exitCode();
  }

  private static String trace(Exception e) {
    var text = new StringWriter();
    e.printStackTrace(new PrintWriter(text));
    return text.toString();
  }
}
