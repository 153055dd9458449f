package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ArrayNode;

@Command(
    name = "doctor",
    description = {
      "Says whether this machine can run forkd, and what to do.",
      "Changes nothing. Exit code 7 when something is missing that forkd cannot do without."
    },
    footer = {"", "Example:", "  sudo forkd doctor"})
final class Doctor implements Callable<Integer> {
  private static final Duration ASK = Duration.ofSeconds(2);

  @Option(names = "--json", description = "Print the checks as JSON.")
  private boolean json;

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  Doctor(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() {
    List<Check> checks = examine(session);
    if (json) {
      ArrayNode array = Json.array();
      checks.forEach(check -> array.add(check.json()));
      session.json(array);
    } else {
      show(session, checks);
    }
    return count(checks, Check.Verdict.FAIL) == 0 ? 0 : FailureKind.UNSUPPORTED.exitCode();
  }

  /** Every check. */
  static List<Check> examine(Session session) {
    List<Check> checks = new ArrayList<>(new HostChecks(session).all());
    checks.add(daemon(session));
    return checks;
  }

  static void show(Session session, List<Check> checks) {
    for (Check check : checks) {
      session.say("%s %-16s %s".formatted(check.verdict().glyph(), check.name(), check.text()));
      if (!check.remedy().isEmpty()) {
        session.say("    → " + check.remedy());
      }
    }
    session.say(
        "%d passed, %d warnings, %d failed, %d skipped"
            .formatted(
                count(checks, Check.Verdict.PASS),
                count(checks, Check.Verdict.WARN),
                count(checks, Check.Verdict.FAIL),
                count(checks, Check.Verdict.SKIP)));
  }

  static long count(List<Check> checks, Check.Verdict verdict) {
    return checks.stream().filter(check -> check.verdict() == verdict).count();
  }

  private static Check daemon(Session session) {
    Endpoint endpoint =
        session.named("").orElseGet(() -> new Endpoint.Unix(session.directories().socket()));
    try (ForkdClient client = new ForkdClient(endpoint, session.console().env("FORKD_TOKEN"))) {
      client.health(ASK);
      return Check.pass("daemon", "answers at " + endpoint);
    } catch (ForkdException e) {
      return e.kind() == FailureKind.UNAVAILABLE
          ? Check.skip("daemon", "none at " + endpoint + "; commands start one")
          : Check.warn("daemon", e.failure().message(), "forkd stop, then try again");
    }
  }
}
