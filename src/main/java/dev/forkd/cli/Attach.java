package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.ProgramStream;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.SandboxId;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "attach",
    description = {
      "Joins the eval session of a sandbox: a Python prompt over what is there.",
      "Names that eval made are known, and stay for the next one. ^D leaves; the session goes on.",
      "With PROGRAM: shows what a detached program has written and writes, and exits with its exit"
          + " code. ^C leaves; the program goes on."
    },
    footer = {
      "",
      "Example:",
      "  forkd attach sb-686f1a2b-0000",
      "  forkd attach sb-686f1a2b-0000 $(forkd exec -d sb-686f1a2b-0000 make)"
    })
final class Attach extends DaemonCommand {
  private static final int MAX_LINES = 10_000;
  private static final Duration LONGEST = Duration.ofDays(1);

  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "PROGRAM",
      description = "A program that exec -d or call -d started.")
  private String program = "";

  @Option(
      names = {"-i", "--stdin"},
      description = "Give PROGRAM this command's standard input, and signals.")
  private boolean input;

  @Option(
      names = "--offset",
      paramLabel = "BYTES",
      description = "Show PROGRAM's output from there on; default 0.")
  private long offset;

  @Option(
      names = {"--timeout", "--timeout-secs"},
      paramLabel = "S",
      description = "Seconds that one statement may take; default 3600.")
  private double timeout = 3600;

  Attach(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) throws IOException {
    SandboxId sandbox = new SandboxId(id);
    if (!program.isEmpty()) {
      return follow(client, sandbox);
    }
    client.ping(sandbox);
    Duration limit = seconds(timeout);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(session.console().in(), StandardCharsets.UTF_8));
    while (true) {
      String statement = statement(client, sandbox, in);
      if (statement.isEmpty()) {
        prompt("\n");
        return 0;
      }
      if (!statement.isBlank()) {
        show(client.eval(sandbox, statement, limit));
      }
    }
  }

  private int follow(ForkdClient client, SandboxId sandbox) throws IOException {
    try (Keyboard keyboard = new Keyboard(session.console().in());
        ProgramStream stream = client.attach(sandbox, program, offset, LONGEST)) {
      Attached attached = new Attached(session.console(), keyboard, stream);
      ExitStatus status = input ? attached.follow(true, false, LONGEST) : attached.watch(LONGEST);
      return status.shellCode();
    }
  }

  private void prompt(String text) {
    if (session.console().terminal().in()) {
      session.console().out().print(text);
      session.console().out().flush();
    }
  }

  /** Lines until they are a whole statement; "" at the end of the input. */
  private String statement(ForkdClient client, SandboxId sandbox, BufferedReader in)
      throws IOException {
    StringBuilder lines = new StringBuilder();
    for (int n = 0; n < MAX_LINES; n++) {
      prompt(n == 0 ? ">>> " : "... ");
      String line = in.readLine();
      if (line == null) {
        return lines.toString();
      }
      lines.append(line).append('\n');
      if (!unfinished(client, sandbox, lines.toString())) {
        break;
      }
    }
    return lines.toString();
  }

  // Python itself knows best; what is wrong is run as well, for its traceback.
  private static boolean unfinished(ForkdClient client, SandboxId sandbox, String lines) {
    // JSON's strings are Python's, too.
    String source = Json.text(Json.array().add(lines.substring(0, lines.length() - 1)));
    String code = "__import__('codeop').compile_command(" + source + "[0]) is None";
    JsonNode told = client.eval(sandbox, code, Duration.ofSeconds(10));
    return told.path("result").asString("").equals("True");
  }

  private void show(JsonNode reply) {
    session.console().out().print(reply.path("stdout").asString(""));
    session.console().err().print(reply.path("stderr").asString(""));
    if (reply.path("result").isString() && !reply.path("result").stringValue().equals("None")) {
      session.say(reply.path("result").stringValue());
    }
    if (reply.path("restarted").asBoolean(false)) {
      session.note("forkd: the eval session had ended; this one is new and earlier names are gone");
    }
    if (reply.path("exit_code").asInt(1) != 0) {
      String traceback = reply.path("traceback").asString("").stripTrailing();
      session.note(traceback.isEmpty() ? reply.path("error").asString("failed") : traceback);
    }
  }
}
