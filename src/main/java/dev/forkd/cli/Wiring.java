package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.model.Recipe;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;

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

  /**
   * Removes what a daemon that was killed has left there.
   *
   * @param before hears of each trace that is found
   * @param after hears of each that could not be removed
   * @throws dev.forkd.model.ForkdException CONFLICT when a daemon lives
   */
  void cleanup(Directories directories, Consumer<String> before, Consumer<String> after);

  /** Serves until it is told to stop; returns the exit code. */
  int serve(Config config, Console console);
}
