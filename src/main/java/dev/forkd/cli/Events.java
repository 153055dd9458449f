package dev.forkd.cli;

import dev.forkd.client.EventStream;
import dev.forkd.client.ForkdClient;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

@Command(
    name = "events",
    description = {
      "Tells what became of snapshots and sandboxes, the newest last.",
      "With -f it goes on telling until it is interrupted."
    },
    footer = {"", "Example:", "  forkd events -f --json | jq -r .kind"})
final class Events extends DaemonCommand {
  @Option(
      names = {"-n", "--limit"},
      paramLabel = "N",
      description = "Events of the past, 0 to 1000; default 20, with -f 0.")
  private int limit = -1;

  @Option(
      names = {"-f", "--follow"},
      description = "Go on, with every change as it happens.")
  private boolean follow;

  @Option(names = "--json", description = "A line of JSON for each.")
  private boolean json;

  Events(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    int wanted = limit < 0 ? (follow ? 0 : 20) : limit;
    if (wanted > 1000) {
      throw new ForkdException(FailureKind.INVALID, "--limit is " + wanted + ", not 0 to 1000");
    }
    if (!follow) {
      past(client, wanted);
      return 0;
    }
    // The stream first: what happens while the past is printed is not lost.
    try (EventStream events = client.followEvents(-1)) {
      Thread reader = Thread.currentThread();
      try (var _ = session.console().signals().handle(_ -> reader.interrupt())) {
        past(client, wanted);
        while (true) {
          show(events.next());
        }
      }
    } catch (ForkdException e) {
      if (Thread.interrupted()) {
        return 0; // whoever followed has seen enough
      }
      throw e;
    }
  }

  private void past(ForkdClient client, int wanted) {
    if (wanted > 0) {
      oldestFirst(client.events(wanted)).forEach(this::show);
    }
  }

  /** What the daemon lists newest first. */
  static List<JsonNode> oldestFirst(JsonNode newestFirst) {
    List<JsonNode> events = new ArrayList<>();
    newestFirst.forEach(events::add);
    return events.reversed();
  }

  /** One event of the past, as people read it. */
  static String told(JsonNode event) {
    return "%s  %-18s  %s  %s"
        .formatted(
            Instant.ofEpochMilli(event.path("at_unix_ms").asLong(0)),
            Table.printable(event.path("kind").asString("")),
            Table.printable(event.path("subject").asString("")),
            Table.printable(event.path("message").asString("")))
        .stripTrailing();
  }

  private void show(JsonNode event) {
    if (json) {
      session.json(event);
    } else if (event.has("missed")) {
      session.say("(" + event.path("missed").asLong(0) + " events were forgotten)");
    } else {
      session.say(told(event));
    }
  }
}
