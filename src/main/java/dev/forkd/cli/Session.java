package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * What every command is given.
 *
 * @param console its world
 * @param wiring the rest of forkd
 */
record Session(Console console, Wiring wiring) {
  /** A client of the daemon that the options name; starts the default one if it is not running. */
  ForkdClient client(String urlFlag, String tokenFlag) {
    String token = tokenFlag.isEmpty() ? console.env("FORKD_TOKEN") : tokenFlag;
    Optional<Endpoint> named = named(urlFlag);
    Endpoint endpoint = named.orElseGet(this::defaultEndpoint);
    ForkdClient client = new ForkdClient(endpoint, token);
    if (named.isEmpty() && wiring.daemon().isEmpty()) {
      try {
        new Autostart(this).ensure(client);
      } catch (RuntimeException e) {
        client.close();
        throw e;
      }
    }
    return client;
  }

  /** Whether the daemon is there that {@link #client} would give a client of. */
  boolean runs(String urlFlag, String tokenFlag) {
    Optional<Endpoint> named = named(urlFlag);
    if (named.isPresent() || wiring.daemon().isPresent()) {
      return true; // one that is named is not ours to start
    }
    try (ForkdClient client = new ForkdClient(defaultEndpoint(), tokenFlag)) {
      return Autostart.answers(client);
    }
  }

  /** The daemon that --url or FORKD_URL names. */
  Optional<Endpoint> named(String urlFlag) {
    String url = urlFlag.isEmpty() ? console.env("FORKD_URL") : urlFlag;
    return url.isEmpty() ? Optional.empty() : Optional.of(Endpoint.of(url));
  }

  private Endpoint defaultEndpoint() {
    return wiring.daemon().orElseGet(() -> new Endpoint.Unix(directories().socket()));
  }

  /** Where the default daemon keeps its things. */
  Directories directories() {
    return Directories.of(console, "", "");
  }

  /** A line on standard output. */
  void say(String line) {
    console.out().println(line);
  }

  /** A line on standard error. */
  void note(String line) {
    console.err().println(line);
  }

  /** JSON on standard output, as it came. */
  void json(JsonNode tree) {
    say(Json.text(tree));
  }
}
