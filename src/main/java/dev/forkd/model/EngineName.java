package dev.forkd.model;

import java.util.Locale;

/** Which engine runs a snapshot's sandboxes. */
public enum EngineName {
  /** Linux namespaces and fork(2) of a warmed interpreter. */
  PROCESS,
  /** QEMU microVMs. */
  VM;

  /** The word used in recipes, on the wire and in logs. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The engine of that word. */
  public static EngineName of(String word) {
    for (EngineName name : values()) {
      if (name.word().equals(word)) {
        return name;
      }
    }
    throw new ForkdException(
        FailureKind.INVALID, "engine \"" + word + "\" is not one of process, vm");
  }
}
