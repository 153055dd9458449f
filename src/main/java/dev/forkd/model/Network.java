package dev.forkd.model;

import java.util.Locale;

/** What a sandbox reaches beyond its own loopback device. */
public enum Network {
  /** Nothing. */
  NONE,
  /** A network of its own with the host at the other end, and nothing behind it. */
  LOCAL,
  /** As LOCAL, and what the host reaches, by network address translation. */
  NAT;

  /** The word used in recipes. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
