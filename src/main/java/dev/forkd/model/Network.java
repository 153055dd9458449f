package dev.forkd.model;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** What a sandbox reaches beyond its own loopback device. */
public enum Network {
  /** Nothing. */
  NONE,
  /** A network of its own with the host at the other end, and nothing behind it. */
  LOCAL,
  /** As LOCAL, and public addresses, by network address translation; more where it is named. */
  NAT;

  /** The network of that word; none where nothing is said. Empty for another word. */
  public static Optional<Network> of(String word) {
    return word.isEmpty()
        ? Optional.of(NONE)
        : Arrays.stream(values()).filter(network -> network.word().equals(word)).findFirst();
  }

  /** The word used in recipes. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
