package dev.forkd.model;

import java.util.Locale;

/** Life of a snapshot: writing, then ready or failed. */
public enum SnapshotStatus {
  WRITING,
  READY,
  FAILED;

  /** The word used on the wire. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
