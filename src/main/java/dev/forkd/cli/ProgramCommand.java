package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.ProgramStream;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A command that runs a program in a sandbox and is, to its caller, that program. */
abstract class ProgramCommand extends DaemonCommand implements Cli.PassesExitCode {
  /** Seconds that a program may take, and one that is left running. */
  private static final double USUAL = 3600;

  private static final double LONGEST = 86_400;

  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Option(
      names = {"-e", "--env"},
      paramLabel = "K=V",
      description = "Environment variable for the program; may repeat.")
  private Map<String, String> env = new LinkedHashMap<>();

  @Option(
      names = {"-w", "--workdir"},
      paramLabel = "DIR",
      description = "Its working directory; default: the recipe's.")
  private String workdir = "";

  @Option(
      names = {"--timeout", "--timeout-secs"},
      paramLabel = "S",
      description = "Seconds after which it is ended; default 3600.")
  private double timeout = Double.NaN;

  @Option(
      names = {"-d", "--detach"},
      description = {
        "Print the program's name and leave it running; `forkd attach ID NAME` follows it.",
        "It may take a day unless --timeout is given."
      })
  private boolean detach;

  @Option(
      names = "--no-stdin",
      description = "Leave this command's standard input alone; the program reads nothing.")
  private boolean noStdin;

  ProgramCommand(Session session) {
    super(session);
  }

  /** "exec" or "call". */
  abstract String verb();

  /** Whether it runs at a terminal of its own. */
  boolean terminal() {
    return false;
  }

  /** The fields of the request that say what to run. */
  abstract ObjectNode program();

  @Override
  int run(ForkdClient client) throws IOException {
    ObjectNode body = program();
    boolean input = terminal() || (!noStdin && (detach || session.console().hasInput()));
    body.put("stdin", input);
    if (terminal()) {
      body.putObject("pty").put("columns", session.console().terminal().columns());
    }
    if (!env.isEmpty()) {
      ObjectNode variables = Json.object();
      env.forEach(variables::put);
      body.set("env", variables);
    }
    if (!workdir.isEmpty()) {
      body.put("cwd", workdir);
    }
    if (detach) {
      Duration limit = seconds(said(LONGEST));
      JsonNode started = client.detach(new SandboxId(id), verb(), body, limit);
      session.say(Table.printable(started.path("program").asString("")));
      return 0;
    }
    Duration limit = seconds(said(USUAL));
    try (Keyboard keyboard = new Keyboard(session.console().in());
        ProgramStream stream = client.start(new SandboxId(id), verb(), body, limit)) {
      Attached attached = new Attached(session.console(), keyboard, stream);
      return exitCode(attached.follow(input, terminal(), limit));
    }
  }

  private double said(double otherwise) {
    return Double.isNaN(timeout) ? otherwise : timeout;
  }

  private int exitCode(ExitStatus status) {
    if (status.timedOut()) {
      session.note(
          "forkd: the program was ended after %.0f s; --timeout gives it more"
              .formatted(said(USUAL)));
    }
    if (status.outOfMemory()) {
      session.note(
          "forkd: the program was killed: the sandbox's memory is used up;"
              + " fork --memory-limit-mib gives it more");
    }
    return status.shellCode();
  }
}
