package dev.forkd.model;

import java.util.Locale;

/**
 * How a running sandbox is copied when it becomes a snapshot; docs/engines.md says what each costs.
 */
public enum BranchMode {
  /** The snapshot holds everything and needs no other one. */
  FULL,
  /**
   * The snapshot holds what differs from the one that the sandbox was forked from, and needs it.
   */
  DIFF,
  /** As FULL, but the sandbox stands still only while the state of its processors is saved. */
  LIVE;

  /** The word on the wire. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
