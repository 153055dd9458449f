package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.SandboxId;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

@Command(
    name = "programs",
    description = {
      "Lists the detached programs of a sandbox: those that run, and those that have ended.",
      "PROGRAM PID STATE OUTPUT COMMAND; OUTPUT in bytes."
    },
    footer = {"", "Example:", "  forkd programs sb-686f1a2b-0000 --end p-0007"})
final class ProgramsCommand extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "ID", description = "The sandbox.")
  private String id = "";

  @Option(
      names = "--end",
      paramLabel = "PROGRAM",
      description = "End this one, and forget its output; may repeat.")
  private List<String> end = new ArrayList<>();

  @Option(names = "--json", description = "Print what the daemon answered.")
  private boolean json;

  ProgramsCommand(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    SandboxId sandbox = new SandboxId(id);
    if (!end.isEmpty()) {
      end.forEach(program -> client.endProgram(sandbox, program));
      return 0;
    }
    JsonNode programs = client.programs(sandbox);
    if (json) {
      session.json(programs);
      return 0;
    }
    Table table = new Table("PROGRAM", "PID", "STATE", "OUTPUT", "COMMAND");
    for (JsonNode program : programs) {
      List<String> words = new ArrayList<>();
      program.path("command").forEach(word -> words.add(word.asString("")));
      table.row(
          program.path("program").asString(""),
          program.path("pid").asString(""),
          state(program),
          program.path("output_to").asString(""),
          String.join(" ", words));
    }
    table.lines().forEach(session::say);
    return 0;
  }

  private static String state(JsonNode program) {
    if (program.path("running").asBoolean(false)) {
      return "running";
    }
    return program.path("exit_code").isNumber()
        ? "exit " + program.path("exit_code").asInt()
        : "lost";
  }
}
