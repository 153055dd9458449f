package dev.forkd.model;

import java.util.Locale;

/** Life of a workspace. */
public enum WorkspaceStatus {
  /** It has a sandbox. */
  RUNNING,
  /** Its state is a snapshot. */
  SUSPENDED,
  /** It was running when its sandbox ended; it resumes from its last state, or from its source. */
  STALE;

  /** The word used on the wire. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
