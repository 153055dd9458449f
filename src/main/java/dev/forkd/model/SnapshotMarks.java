package dev.forkd.model;

import java.util.Map;

/**
 * What whoever makes a snapshot says of it.
 *
 * @param labels at most 64, ordered by key
 * @param secrets whether its memory holds what not everybody may have who may fork others
 */
public record SnapshotMarks(Map<String, String> labels, boolean secrets) {
  /** Nothing said. */
  public static final SnapshotMarks NONE = new SnapshotMarks(Map.of(), false);

  public SnapshotMarks {
    labels = Labels.checked(labels);
  }

  /** Those of a snapshot made of the sandbox of another: it has the same memory, not the labels. */
  public static SnapshotMarks inherited(boolean secrets) {
    return new SnapshotMarks(Map.of(), secrets);
  }
}
