package dev.forkd.service;

import dev.forkd.model.EngineName;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SnapshotFiles;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Function;

/** Whether a snapshot can be forked, looked at again whenever it is told or used. */
final class Bootable {
  private final SnapshotFiles files;

  Bootable(SnapshotFiles files) {
    this.files = files;
  }

  /** Whether nothing but its live template holds what it is. */
  static boolean inMemory(SnapshotRow row) {
    return row.origin().branched() && !row.origin().durable();
  }

  /** What earlier daemons left: nothing is live; what became of it is in the registry. */
  static Collection<SnapshotRow> takeOver(Parts parts) {
    Map<Tag, SnapshotRow> rows = new TreeMap<>();
    for (SnapshotRow stored : parts.registry().snapshots()) {
      SnapshotRow row = afterRestart(stored);
      rows.put(row.tag(), row.equals(stored) ? row : failed(parts, row));
    }
    parts
        .files()
        .found()
        .forEach((tag, changed) ->
            rows.computeIfAbsent(tag, it -> failed(parts, stray(parts, it, changed))));
    return rows.values();
  }

  private static SnapshotRow failed(Parts parts, SnapshotRow row) {
    parts.registry().put(row, parts.event("snapshot.failed", row.tag().text(), row.warning()));
    return row;
  }

  private static SnapshotRow afterRestart(SnapshotRow row) {
    return switch (row.status()) {
      case WRITING -> row.failed("the daemon ended while it was written; create it again");
      case READY ->
          inMemory(row)
              ? row.failed(
                  ("it lived in the memory of a daemon that has ended: the %s engine does not"
                          + " write branches down; branch again")
                      .formatted(row.engine().word()))
              : row;
      case FAILED -> row;
    };
  }

  // A directory that no row speaks of: somebody replaced the registry, or copied it here.
  private static SnapshotRow stray(Parts parts, Tag tag, long changedUnix) {
    return new SnapshotRow(
        tag,
        parts.files().dir(tag),
        changedUnix,
        SnapshotStatus.FAILED,
        "",
        "",
        Optional.empty(),
        Path.of("/"),
        EngineName.PROCESS, // unknown; nothing of it is used
        "",
        OptionalLong.empty(),
        "{}",
        "snapshot is not bootable: the registry does not know it (was the registry lost?);"
            + " create it again, or DELETE it",
        Origin.RECIPE,
        SnapshotMarks.NONE);
  }

  /** The row, or the row as failed when something that it needs is gone. */
  SnapshotRow checked(SnapshotRow row, boolean live, Function<Tag, Optional<SnapshotRow>> find) {
    if (row.status() != SnapshotStatus.READY) {
      return row;
    }
    Optional<Path> lost = files.lost(row.tag());
    if (lost.isPresent()) {
      String what =
          lost.get().endsWith("snapshot.json") ? lost.get() + "" : "memory artifact: " + lost.get();
      return row.failed(
          "snapshot is not bootable: missing "
              + what
              + (row.origin().branched() ? "; branch again" : "; create it again"));
    }
    return live || row.parentTag().isEmpty() ? row : withParent(row, find);
  }

  private SnapshotRow withParent(SnapshotRow row, Function<Tag, Optional<SnapshotRow>> find) {
    Optional<SnapshotRow> parent = find.apply(new Tag(row.parentTag()));
    if (parent.isEmpty() || files.lost(parent.get().tag()).isPresent()) {
      return row.failed("snapshot is not bootable: missing parent snapshot " + row.parentTag());
    }
    return files.hash(parent.get().tag()).equals(row.origin().parentHash())
        ? row
        : row.failed(
            "snapshot is not bootable: its parent "
                + row.parentTag()
                + " was deleted, and another snapshot has that name now");
  }
}
