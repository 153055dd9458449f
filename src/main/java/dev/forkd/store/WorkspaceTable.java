package dev.forkd.store;

import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceStatus;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Locale;

/** How a {@link WorkspaceRow} lies in its table. */
final class WorkspaceTable {
  private static final String PUT =
      "INSERT OR REPLACE INTO workspaces (name, id, source, status, state_tag, sandbox,"
          + " last_branch, created, active, netns, memory_limit_mib)"
          + " VALUES (?,?,?,?,?,?,?,?,?,?,?)";

  private WorkspaceTable() {}

  static void put(Connection connection, WorkspaceRow row) throws SQLException {
    Database.execute(
        connection,
        PUT,
        statement -> {
          statement.setString(1, row.name().text());
          statement.setString(2, row.id());
          statement.setString(3, row.source().text());
          statement.setString(4, row.status().word());
          statement.setString(5, row.stateTag());
          statement.setString(6, row.sandbox());
          statement.setString(7, row.lastBranch());
          statement.setLong(8, row.createdAtUnix());
          statement.setLong(9, row.activeAtUnix());
          statement.setBoolean(10, row.terms().netns());
          statement.setLong(11, row.terms().memoryLimitMib());
        });
  }

  static WorkspaceRow read(ResultSet row) throws SQLException {
    return new WorkspaceRow(
        new Tag(row.getString("name")),
        row.getString("id"),
        new Tag(row.getString("source")),
        WorkspaceStatus.valueOf(row.getString("status").toUpperCase(Locale.ROOT)),
        row.getString("state_tag"),
        row.getString("sandbox"),
        row.getString("last_branch"),
        row.getLong("created"),
        row.getLong("active"),
        new WorkspaceRow.Terms(row.getBoolean("netns"), row.getLong("memory_limit_mib")));
  }
}
