package dev.forkd.cli;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "exec",
    customSynopsis = "forkd exec [OPTION]... ID [--] CMD [ARG]...",
    description = {
      "Runs a command in a sandbox.",
      "Its input, both outputs and its exit code pass through; so do signals.",
      "Options of forkd's own stand before CMD; what follows it belongs to the command.",
      "A command ended by signal S exits with 128+S; trouble of forkd's own with 125.",
      "python3, also one that a shell or make starts, runs in a fork of the warm interpreter",
      "where that gives the same; FORKD_WARM_DEBUG=1 tells why it does not."
    },
    footer = {
      "",
      "Example:",
      "  forkd exec sb-686f1a2b-0000 -w /srv -- sh -c 'ls | wc -l'",
      "  forkd exec sb-686f1a2b-0000 ls -la"
    })
final class Exec extends ProgramCommand {
  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "CMD",
      parameterConsumer = ProgramWords.Rest.class,
      description = "Command and arguments.")
  private List<String> args = List.of();

  @Option(
      names = {"-u", "--user"},
      paramLabel = "USER",
      description = "User, uid or uid:gid inside; default root of the sandbox.")
  private String user = "";

  @Option(names = "--warm", description = "Only as a fork of the warm interpreter.")
  private boolean warm;

  @Option(names = "--cold", description = "Always as a new process, whatever it starts included.")
  private boolean cold;

  @Option(
      names = {"-t", "-it", "--tty"},
      description = "At a terminal of its own: keys go to it as they come.")
  private boolean tty;

  Exec(Session session) {
    super(session);
  }

  @Override
  String verb() {
    return "exec";
  }

  @Override
  boolean terminal() {
    return tty;
  }

  @Override
  ObjectNode program() {
    if (tty && (!session.console().terminal().in() || warm)) {
      throw new ForkdException(
          FailureKind.INVALID, "-t takes a terminal as input, and does not go with --warm");
    }
    if (warm && cold) {
      throw new ForkdException(FailureKind.INVALID, "--warm and --cold exclude each other");
    }
    ObjectNode body = Json.object();
    ArrayNode list = body.putArray("args");
    args.forEach(list::add);
    if (!user.isEmpty()) {
      body.put("user", user);
    }
    if (warm || cold) {
      body.put("warm", warm);
    }
    return body;
  }
}
