package dev.forkd.service;

import dev.forkd.engine.Guest;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SandboxRow;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What is branched.
 *
 * @param label what the snapshot says that it was branched from
 * @param row of the sandbox
 * @param guest to be copied
 * @param template that it was forked from
 */
record BranchSource(String label, SandboxRow row, Guest guest, WarmTemplate template) {
  static BranchSource of(Sandbox.Running running) {
    return new BranchSource(
        running.row().id().text(), running.row(), running.guest(), running.template());
  }

  /** The row of the snapshot while it is written. */
  SnapshotRow row(Tag tag, Path dir, long now, Origin origin) {
    var recipe = template.recipe();
    return new SnapshotRow(
        tag,
        dir,
        now,
        SnapshotStatus.WRITING,
        recipe.source(),
        "",
        Optional.of(recipe.warm().script()),
        recipe.baseDir(),
        row.engine(),
        template.imageDigest(),
        OptionalLong.empty(),
        "{}",
        "",
        origin,
        SnapshotMarks.inherited(template.secrets()));
  }
}
