package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;

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
}
