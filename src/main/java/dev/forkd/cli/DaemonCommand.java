package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A command that talks to the daemon. */
abstract class DaemonCommand implements Callable<Integer> {
  @Option(
      names = {"--url", "--daemon-url"},
      paramLabel = "URL",
      description = "Daemon to ask: unix:/path or http://host:port [FORKD_URL].")
  private String url = "";

  @Option(
      names = {"--token", "--daemon-token"},
      paramLabel = "TOKEN",
      description = "Bearer token for a daemon that wants one [FORKD_TOKEN].")
  private String token = "";

  @Mixin private Cli.Help help = new Cli.Help();

  final Session session;

  DaemonCommand(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() throws IOException {
    try (ForkdClient client = session.client(url, token)) {
      return run(client);
    }
  }

  /** Whether the daemon that would be asked runs. */
  final boolean runs() {
    return session.runs(url, token);
  }

  /** Does the work; returns the exit code. */
  abstract int run(ForkdClient client) throws IOException;

  /** A duration given in seconds, with fractions. */
  static Duration seconds(double seconds) {
    if (!(seconds >= 1 && seconds <= 86_400)) {
      throw new ForkdException(
          FailureKind.INVALID, "--timeout is " + seconds + ", not 1..86400 seconds");
    }
    return Duration.ofMillis(Math.round(seconds * 1000));
  }
}
