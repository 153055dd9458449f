package dev.forkd.api;

import java.util.Locale;
import java.util.Optional;

/** What a caller may do. Each includes the ones before it. */
enum Scope {
  /** Look: lists, states, events, metrics. */
  READ,
  /** Fork and destroy sandboxes, run code in them, read and write their files. */
  USE,
  /** Make and remove snapshots. */
  ADMIN;

  /** The word in a token file. */
  String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  static Optional<Scope> of(String word) {
    for (Scope scope : values()) {
      if (scope.word().equals(word)) {
        return Optional.of(scope);
      }
    }
    return Optional.empty();
  }

  boolean includes(Scope other) {
    return compareTo(other) >= 0;
  }
}
