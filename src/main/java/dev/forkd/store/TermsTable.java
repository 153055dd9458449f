package dev.forkd.store;

import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxOptions;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Collection;

/** The table of {@link Terms}. */
final class TermsTable {
  private static final String PUT =
      "INSERT OR REPLACE INTO terms (id, name, labels, ttl_ms, idle_ms, since_nanos, ready_micros)"
          + " VALUES (?,?,?,?,?,?,?)";
  private static final double MICROS = 1000;

  private TermsTable() {}

  static void put(Connection connection, Collection<Terms> all) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(PUT)) {
      for (Terms one : all) {
        SandboxOptions options = one.options();
        statement.setString(1, one.id().text());
        statement.setString(2, options.name());
        statement.setString(3, LabelLines.write(options.labels()));
        statement.setLong(4, options.ttl().toMillis());
        statement.setLong(5, options.idle().toMillis());
        statement.setLong(6, one.sinceNanos());
        statement.setLong(7, Math.round(one.readyMs() * MICROS));
        statement.addBatch();
      }
      statement.executeBatch();
    }
  }

  static Terms read(ResultSet row) throws SQLException {
    return new Terms(
        new SandboxId(row.getString("id")),
        new SandboxOptions(
            row.getString("name"),
            LabelLines.read(row.getString("labels")),
            Duration.ofMillis(row.getLong("ttl_ms")),
            Duration.ofMillis(row.getLong("idle_ms"))),
        row.getLong("since_nanos"),
        row.getLong("ready_micros") / MICROS);
  }
}
