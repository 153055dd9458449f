package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.model.Recipe;
import java.nio.file.Path;
import java.util.Optional;

/** What commands need of the rest of forkd; {@code Main} implements it. */
public interface Wiring {
  /** Version of this build. */
  String version();

  /** Where the program lives: native/, python/, recipes/, scripts/. */
  Path home();

  /** The daemon that the command runs in; empty in a process of its own. */
  Optional<Endpoint> daemon();

  /** The recipe of that text; INVALID when it is not one. */
  Recipe recipe(String text, Path baseDir);

  /** Serves until it is told to stop; returns the exit code. */
  int serve(Config config, Console console);
}
