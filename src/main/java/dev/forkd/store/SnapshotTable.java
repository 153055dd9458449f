package dev.forkd.store;

import dev.forkd.model.EngineName;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;

/** How a {@link SnapshotRow} lies in its table. */
final class SnapshotTable {
  private static final String PUT =
      "INSERT OR REPLACE INTO snapshots (tag, dir, created, status, recipe, recipe_name, base_dir,"
          + " engine, image_digest, warm_ms, report, warning, branched_from, pause_ms, parent_tag,"
          + " warm_script, parent_hash, memory_physical, memory_logical, diff_ms, diff_physical,"
          + " diff_logical, durable, labels, secrets)"
          + " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

  private SnapshotTable() {}

  static void put(Connection connection, SnapshotRow row) throws SQLException {
    Database.execute(
        connection,
        PUT,
        statement -> {
          bind(statement, row);
          bind(statement, row.origin());
        });
  }

  private static void bind(PreparedStatement statement, SnapshotRow row) throws SQLException {
    statement.setString(1, row.tag().text());
    statement.setString(2, row.dir().toString());
    statement.setLong(3, row.createdAtUnix());
    statement.setString(4, row.status().word());
    statement.setString(5, row.recipe());
    statement.setString(6, row.recipeName());
    statement.setString(7, row.baseDir().toString());
    statement.setString(8, row.engine().word());
    statement.setString(9, row.imageDigest());
    bind(statement, 10, row.warmMs());
    statement.setString(11, row.report());
    statement.setString(12, row.warning());
    if (row.warmScript().isPresent()) {
      statement.setString(16, row.warmScript().get());
    } else {
      statement.setNull(16, Types.VARCHAR);
    }
    statement.setString(24, LabelLines.write(row.marks().labels()));
    statement.setBoolean(25, row.marks().secrets());
  }

  private static void bind(PreparedStatement statement, Origin origin) throws SQLException {
    statement.setString(13, origin.sandbox());
    bind(statement, 14, origin.pauseMs());
    statement.setString(15, origin.parentTag());
    statement.setString(17, origin.parentHash());
    statement.setLong(18, origin.memory().physicalBytes());
    statement.setLong(19, origin.memory().logicalBytes());
    Optional<Origin.Diff> diff = origin.diff();
    bind(
        statement,
        20,
        diff.isPresent() ? OptionalLong.of(diff.get().millis()) : OptionalLong.empty());
    statement.setLong(21, diff.map(it -> it.memory().physicalBytes()).orElse(0L));
    statement.setLong(22, diff.map(it -> it.memory().logicalBytes()).orElse(0L));
    statement.setBoolean(23, origin.durable());
  }

  private static void bind(PreparedStatement statement, int index, OptionalLong value)
      throws SQLException {
    if (value.isPresent()) {
      statement.setLong(index, value.getAsLong());
    } else {
      statement.setNull(index, Types.INTEGER);
    }
  }

  static SnapshotRow read(ResultSet row) throws SQLException {
    return new SnapshotRow(
        new Tag(row.getString("tag")),
        Path.of(row.getString("dir")),
        row.getLong("created"),
        SnapshotStatus.valueOf(row.getString("status").toUpperCase(Locale.ROOT)),
        row.getString("recipe"),
        row.getString("recipe_name"),
        Optional.ofNullable(row.getString("warm_script")),
        Path.of(row.getString("base_dir")),
        EngineName.of(row.getString("engine")),
        row.getString("image_digest"),
        optional(row, "warm_ms"),
        row.getString("report"),
        row.getString("warning"),
        origin(row),
        new SnapshotMarks(LabelLines.read(row.getString("labels")), row.getBoolean("secrets")));
  }

  private static Origin origin(ResultSet row) throws SQLException {
    OptionalLong diffMs = optional(row, "diff_ms");
    Origin.Memory diff =
        new Origin.Memory(row.getLong("diff_physical"), row.getLong("diff_logical"));
    return new Origin(
        row.getString("branched_from"),
        row.getString("parent_tag"),
        row.getString("parent_hash"),
        optional(row, "pause_ms"),
        new Origin.Memory(row.getLong("memory_physical"), row.getLong("memory_logical")),
        diffMs.isPresent()
            ? Optional.of(new Origin.Diff(diffMs.getAsLong(), diff))
            : Optional.empty(),
        row.getBoolean("durable"));
  }

  private static OptionalLong optional(ResultSet row, String column) throws SQLException {
    long value = row.getLong(column);
    return row.wasNull() ? OptionalLong.empty() : OptionalLong.of(value);
  }
}
