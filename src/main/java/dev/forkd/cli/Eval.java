package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "eval",
    description = {
      "Runs code in a sandbox's eval session and prints its value.",
      "Names stay for the next eval. An error is a traceback and exit code 1."
    },
    footer = {
      "",
      "Example:",
      "  forkd eval sb-686f1a2b-0000 'import numpy; numpy.arange(5).sum()'"
    })
final class Eval extends DaemonCommand {
  private static final int MAX_CODE = 1 << 20;

  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Parameters(index = "1", paramLabel = "CODE", description = "Source text; - reads it from stdin.")
  private String code = "";

  @Option(
      names = {"--timeout", "--timeout-secs"},
      paramLabel = "S",
      description = "Seconds that the code may take; default 30.")
  private double timeout = 30;

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  Eval(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) throws IOException {
    JsonNode reply =
        client.eval(new SandboxId(id), code.equals("-") ? input() : code, seconds(timeout));
    int exitCode = reply.path("exit_code").asInt(1);
    if (json) {
      session.json(reply);
      return exitCode;
    }
    session.console().out().print(reply.path("stdout").asString(""));
    session.console().err().print(reply.path("stderr").asString(""));
    if (reply.path("restarted").asBoolean(false)) {
      session.note("forkd: the eval session had ended; this one is new and earlier names are gone");
    }
    if (reply.path("truncated").asBoolean(false)) {
      session.note("forkd: the output was cut to its bound");
    }
    if (reply.path("result").isString()) {
      session.say(reply.path("result").stringValue());
    }
    if (exitCode != 0) {
      String traceback = reply.path("traceback").asString("").stripTrailing();
      session.note(traceback.isEmpty() ? reply.path("error").asString("failed") : traceback);
    }
    return exitCode;
  }

  private String input() throws IOException {
    byte[] bytes = session.console().in().readNBytes(MAX_CODE + 1);
    if (bytes.length > MAX_CODE) {
      throw new ForkdException(FailureKind.TOO_LARGE, "the code on stdin is longer than 1 MiB");
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
