package dev.forkd.cli;

import dev.forkd.model.EngineName;
import tools.jackson.databind.node.ObjectNode;

/** What {@code --engine} takes: an engine's name, or {@code auto}. */
final class EngineChoice {
  private static final String AUTO = "auto";

  private EngineChoice() {}

  /** INVALID when it is neither; "" is what the recipe says. */
  static void check(String word) {
    if (!word.isEmpty() && !word.equals(AUTO)) {
      EngineName.of(word);
    }
  }

  /** Adds it to a request that makes a snapshot. */
  static void put(ObjectNode body, String word) {
    check(word);
    if (!word.isEmpty()) {
      body.put("engine", word);
    }
  }
}
