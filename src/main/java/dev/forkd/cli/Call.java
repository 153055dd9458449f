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
    name = "call",
    customSynopsis = "forkd call [OPTION]... ID (-m MODULE | -c CODE | FILE) [--] [ARG]...",
    description = {
      "Runs Python in a fork of a sandbox's warm interpreter.",
      "A module (-m), source (-c) or a file; what the recipe imported is there already.",
      "Input, outputs, exit code and signals pass through as with exec."
    },
    footer = {"", "Example:", "  forkd call sb-686f1a2b-0000 -m pytest -q tests/test_models.py"})
final class Call extends ProgramCommand {
  @Option(
      names = {"-m", "--module"},
      paramLabel = "MODULE",
      parameterConsumer = ProgramWords.Program.class,
      description = "Run a module, as python -m does.")
  private String module = "";

  @Option(
      names = {"-c", "--code"},
      paramLabel = "CODE",
      parameterConsumer = ProgramWords.Program.class,
      description = "Run source text, as python -c does.")
  private String code = "";

  @Parameters(
      index = "1..*",
      arity = "0..*",
      paramLabel = "ARG",
      parameterConsumer = ProgramWords.Rest.class,
      description = "Arguments; without -m and -c the first is a file inside the sandbox.")
  private List<String> args = List.of();

  Call(Session session) {
    super(session);
  }

  @Override
  String verb() {
    return "call";
  }

  @Override
  ObjectNode program() {
    boolean file = module.isEmpty() && code.isEmpty();
    if (!(module.isEmpty() || code.isEmpty()) || (file && args.isEmpty())) {
      throw new ForkdException(FailureKind.INVALID, "give one of -m MODULE, -c CODE or a FILE");
    }
    ObjectNode body = Json.object();
    if (file) {
      body.put("file", args.getFirst());
    } else if (module.isEmpty()) {
      body.put("code", code);
    } else {
      body.put("module", module);
    }
    ArrayNode list = body.putArray("args");
    args.stream().skip(file ? 1 : 0).forEach(list::add);
    return body;
  }
}
