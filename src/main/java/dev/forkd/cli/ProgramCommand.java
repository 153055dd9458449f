package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.ProgramStream;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.SandboxId;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.node.ObjectNode;

/** A command that runs a program in a sandbox and is, to its caller, that program. */
abstract class ProgramCommand extends DaemonCommand implements Cli.PassesExitCode {
  private static final int CHUNK = 32 * 1024;

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
  private double timeout = 3600;

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
    boolean input = terminal() || (!noStdin && session.console().hasInput());
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
    Duration limit = seconds(timeout);
    try (ProgramStream stream = client.start(new SandboxId(id), verb(), body, limit);
        var _ = session.console().signals().handle(stream::signal);
        var _ = terminal() ? raw(stream) : (Screen.Raw) () -> {}) {
      Thread pump = Thread.ofVirtual().name("stdin").unstarted(() -> pumpInput(stream));
      if (input) {
        pump.start();
      }
      try {
        return exitCode(follow(stream, limit));
      } finally {
        pump.interrupt();
      }
    }
  }

  private Screen.Raw raw(ProgramStream stream) {
    return session
        .console()
        .screen()
        .raw(size -> Thread.startVirtualThread(() -> resize(stream, size)));
  }

  private static void resize(ProgramStream stream, TerminalSize size) {
    try {
      stream.resize(size);
    } catch (ForkdException e) {
      // It has ended by now: the thread that reads its events tells how.
      Thread.currentThread().interrupt();
    }
  }

  private ExitStatus follow(ProgramStream stream, Duration limit) throws IOException {
    while (true) {
      switch (stream.next(limit.plusSeconds(30))) {
        case ProgramEvent.Output output -> write(output);
        case ProgramEvent.Exited exited -> {
          return exited.status();
        }
      }
    }
  }

  private void write(ProgramEvent.Output output) throws IOException {
    PrintStream to = output.stream() == 1 ? session.console().out() : session.console().err();
    to.write(output.bytes());
    to.flush();
    if (to.checkError()) {
      throw new ForkdException(
          FailureKind.UNAVAILABLE, "nobody reads the program's output any more; it is ended");
    }
  }

  private int exitCode(ExitStatus status) {
    if (status.timedOut()) {
      session.note(
          "forkd: the program was ended after %.0f s; --timeout gives it more".formatted(timeout));
    }
    if (status.outOfMemory()) {
      session.note("forkd: the program was killed: out of memory (see --memory-limit-mib of fork)");
    }
    if (status.outOfMemory()) {
      session.note(
          "forkd: the program was killed: the sandbox's memory is used up;"
              + " fork --memory-limit-mib gives it more");
    }
    return status.shellCode();
  }

  private void pumpInput(ProgramStream stream) {
    byte[] chunk = new byte[CHUNK];
    try {
      int n;
      while ((n = session.console().in().read(chunk)) >= 0) {
        stream.write(chunk, 0, n);
      }
      stream.closeInput();
    } catch (IOException | ForkdException e) {
      // A program may end, or close its stdin, before it has read everything: as with a pipe,
      // that is its own affair. Trouble of the connection is met by the thread that reads events.
      Thread.currentThread().interrupt();
    }
  }
}
