package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;
import java.util.List;

/** Why a snapshot cannot be used, in the words that existing clients know. */
final class SnapshotRefusal {
  private SnapshotRefusal() {}

  static ForkdException notFound(Tag tag) {
    return new ForkdException(FailureKind.NOT_FOUND, "snapshot " + tag + " not found");
  }

  static ForkdException failed(SnapshotRow row) {
    return notBootable(row.tag(), "status=Failed; " + row.warning());
  }

  static ForkdException notBootable(Tag tag, String why) {
    return new ForkdException(
        FailureKind.CONFLICT, "snapshot `" + tag + "` is not bootable: " + why);
  }

  /** The tag is being written to. */
  static ForkdException busy(Tag tag) {
    return new ForkdException(
        FailureKind.CONFLICT,
        "snapshot " + tag + " is being written by another request; retry once it is done");
  }

  static ForkdException taken(Tag tag) {
    return new ForkdException(
        FailureKind.CONFLICT,
        "snapshot " + tag + " already exists; DELETE first, or create it with replace");
  }

  static ForkdException inUse(Tag tag, String verb, int sandboxes) {
    return new ForkdException(
        FailureKind.CONFLICT,
        ("snapshot %s cannot be %s: %d sandbox(es) live from it; destroy them first, or DELETE"
                + " with ?cascade=true (ends them) or ?force=true (they live on)")
            .formatted(tag, verb, sandboxes));
  }

  static ForkdException needed(Tag tag, String verb, List<Tag> dependents) {
    return new ForkdException(
        FailureKind.CONFLICT,
        ("snapshot %s cannot be %s: it has %d dependent snapshot(s): %s; DELETE with"
                + " ?cascade=true (they go first) or ?force=true (they lose what they need)")
            .formatted(tag, verb, dependents.size(), dependents));
  }
}
