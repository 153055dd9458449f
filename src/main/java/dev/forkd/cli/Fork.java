package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

@Command(
    name = "fork",
    aliases = "spawn",
    description = {
      "Forks sandboxes from a snapshot.",
      "When it returns all of them have answered; if one cannot be made, none is."
    },
    footer = {
      "",
      "Example:",
      "  forkd fork np -n 4",
      "  forkd exec $(forkd ls --json | jq -r '.[0].id') -- uname -a"
    })
final class Fork extends DaemonCommand {
  @Parameters(arity = "0..1", paramLabel = "TAG", description = "The snapshot.")
  private String positional = "";

  @Option(names = "--tag", paramLabel = "TAG", description = "The same.")
  private String tag = "";

  @Option(
      names = {"-n", "--n"},
      paramLabel = "N",
      description = "How many, 1 to 1000; default 1.")
  private int n = 1;

  @Option(
      names = "--memory-limit-mib",
      paramLabel = "M",
      description = "Memory limit of each, in MiB; default: the recipe's.")
  private long memoryLimitMib;

  @Option(names = "--name", paramLabel = "NAME", description = "A name; NAME-1 to NAME-N of many.")
  private String name = "";

  @Option(
      names = {"-l", "--label"},
      paramLabel = "K=V",
      description = "A label; may repeat.")
  private Map<String, String> labels = new LinkedHashMap<>();

  @Option(names = "--ttl", paramLabel = "S", description = "Seconds after which it is ended.")
  private double ttl;

  @Option(
      names = "--idle-timeout",
      paramLabel = "S",
      description = "Seconds without running code after which it is ended.")
  private double idle;

  @Option(names = "--per-child-netns", hidden = true, description = "Every child has one anyway.")
  private boolean perChildNetns;

  @Option(
      names = "--settle-secs",
      paramLabel = "S",
      description = "Stay for S seconds or until a signal, then destroy them again.")
  private long settleSecs = -1;

  @Option(names = "--json", description = "Print the sandboxes as the daemon answered.")
  private boolean json;

  Fork(Session session) {
    super(session);
  }

  @Override
  int run(ForkdClient client) {
    ObjectNode body = Json.object().put("snapshot_tag", tag().text()).put("n", n);
    if (perChildNetns) {
      body.put("per_child_netns", true);
    }
    if (memoryLimitMib > 0) {
      body.put("memory_limit_mib", memoryLimitMib);
    }
    describe(body);
    if (settleSecs < 0) {
      fork(client, body);
      return 0;
    }
    CountDownLatch told = new CountDownLatch(1);
    // From before the fork on: a signal must not leave children that nobody knows of.
    try (var _ = session.console().signals().handle(number -> told.countDown())) {
      settle(client, fork(client, body), told);
    }
    return 0;
  }

  private void describe(ObjectNode body) {
    if (!name.isEmpty()) {
      body.put("name", name);
    }
    if (!labels.isEmpty()) {
      labels.forEach(body.putObject("labels")::put);
    }
    if (ttl > 0) {
      body.put("ttl_secs", ttl);
    }
    if (idle > 0) {
      body.put("idle_timeout_secs", idle);
    }
  }

  private JsonNode fork(ForkdClient client, ObjectNode body) {
    long start = System.nanoTime();
    JsonNode children = client.fork(body);
    double millis = (System.nanoTime() - start) / 1e6;
    if (json) {
      session.json(children);
    } else {
      tell(children, millis);
    }
    return children;
  }

  private Tag tag() {
    String name = tag.isEmpty() ? positional : tag;
    if (name.isEmpty() || (!tag.isEmpty() && !positional.isEmpty())) {
      throw new ForkdException(
          FailureKind.INVALID, "name one snapshot: forkd fork TAG -n N (forkd images lists them)");
    }
    return Tag.of("tag", name);
  }

  private void tell(JsonNode children, double millis) {
    double ready = 0;
    for (JsonNode child : children) {
      ready = Math.max(ready, child.path("ready_ms").asDouble(0));
    }
    session.say("✓ all sockets up in %.1f ms".formatted(ready));
    session.say("✓ %d restores fired in parallel in %.1f ms".formatted(children.size(), ready));
    session.say("✓ total wall-clock: %.1f ms".formatted(millis));
    session.say("✓ " + children.size() + " / " + n + " children alive");
    for (JsonNode child : children) {
      session.say(
          "  ✓ "
              + child.path("id").asString("-")
              + "  guest="
              + child.path("guest_addr").asString("-")
              + "  netns="
              + (child.path("netns").isString() ? child.path("netns").stringValue() : "-"));
    }
  }

  private void settle(ForkdClient client, JsonNode children, CountDownLatch told) {
    session.console().out().flush();
    try {
      boolean early = told.await(settleSecs, TimeUnit.SECONDS);
      session.note(early ? "told to stop; destroying" : "settled; destroying");
    } catch (InterruptedException e) {
      session.note("interrupted; destroying"); // the flag is cleared: the requests below must work
    }
    for (JsonNode child : children) {
      client.destroy(new SandboxId(child.path("id").asString("")));
    }
  }
}
