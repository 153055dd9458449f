package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "version",
    description = {
      "Prints the versions of this command and of the daemon.",
      "Does not start a daemon."
    },
    footer = {"", "Example:", "  forkd version --json"})
final class Version implements Callable<Integer> {
  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Option(names = "--url", paramLabel = "URL", description = "Daemon to ask [FORKD_URL].")
  private String url = "";

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  Version(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() {
    Endpoint endpoint =
        session
            .named(url)
            .or(session.wiring()::daemon)
            .orElseGet(() -> new Endpoint.Unix(session.directories().socket()));
    ObjectNode versions = Json.object().put("version", session.wiring().version());
    String daemon;
    try (ForkdClient client = new ForkdClient(endpoint, session.console().env("FORKD_TOKEN"))) {
      JsonNode answer = client.version();
      versions.set("daemon", answer);
      daemon =
          "daemon %s (api %s) at %s"
              .formatted(
                  answer.path("version").asString("?"), answer.path("api").asString("?"), endpoint);
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.UNAVAILABLE) {
        throw e;
      }
      versions.putNull("daemon");
      daemon = "no daemon answers at " + endpoint;
    }
    if (json) {
      session.json(versions);
    } else {
      session.say("forkd " + session.wiring().version());
      session.say(Table.printable(daemon));
    }
    return 0;
  }
}
