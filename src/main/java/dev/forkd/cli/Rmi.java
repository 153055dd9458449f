package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "rmi",
    description = "Removes snapshots.",
    footer = {"", "Example:", "  forkd rmi np"})
final class Rmi extends DaemonCommand {
  @Parameters(arity = "1..*", paramLabel = "TAG", description = "Snapshots.")
  private List<String> tags = List.of();

  @Option(names = "--cascade", description = "Also what derives from them, leaves first.")
  private boolean cascade;

  @Option(names = "--force", description = "Even though others derive from them.")
  private boolean force;

  Rmi(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    if (cascade && force) {
      throw new ForkdException(FailureKind.INVALID, "--cascade and --force exclude each other");
    }
    int code = 0;
    for (String tag : tags) {
      try {
        client.deleteSnapshot(new Tag(tag), cascade, force);
        session.say("  ✓ " + tag);
      } catch (ForkdException e) {
        session.say("  ✗ " + Table.printable(tag) + "  (" + e.getMessage() + ")");
        code = e.kind().exitCode();
      }
    }
    return code;
  }
}
