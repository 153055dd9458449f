package dev.forkd.store;

import dev.forkd.model.EngineName;
import dev.forkd.model.Event;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Collection;
import java.util.List;
import java.util.Locale;

/** Snapshots, the sandbox journal and recent events, in one SQLite file. Thread-safe. */
public final class Registry implements AutoCloseable {
  /** Events kept; older ones go. */
  public static final int MAX_EVENTS = 10_000;

  private static final String PUT_SANDBOX =
      "INSERT OR REPLACE INTO sandboxes (id, tag, created, engine, state, pid, stamp,"
          + " memory_limit_mib, ended, branches, last_branch) VALUES (?,?,?,?,?,?,?,?,?,?,?)";

  private final Database database;

  private Registry(Database database) {
    this.database = database;
  }

  /**
   * Opens the file, or makes it.
   *
   * @throws dev.forkd.model.ForkdException CONFLICT when it is locked, ENGINE when it is damaged,
   *     UNSUPPORTED when a newer forkd wrote it
   */
  public static Registry open(Path file) {
    return new Registry(Database.open(file, Schema.MIGRATIONS));
  }

  /** All snapshots, ordered by tag. */
  public List<SnapshotRow> snapshots() {
    return database.query(
        "SELECT * FROM snapshots ORDER BY tag", statement -> {}, SnapshotTable::read);
  }

  /** Writes a snapshot's row, on disk when this returns. */
  public void put(SnapshotRow row, Event event) {
    database.durable(connection -> {
      SnapshotTable.put(connection, row);
      write(connection, event);
    });
  }

  /** Forgets a snapshot. */
  public void remove(Tag tag, Event event) {
    database.durable(connection -> {
      Database.execute(
          connection,
          "DELETE FROM snapshots WHERE tag = ?",
          statement -> statement.setString(1, tag.text()));
      write(connection, event);
    });
  }

  /** All workspaces, ordered by name. */
  public List<WorkspaceRow> workspaces() {
    return database.query(
        "SELECT * FROM workspaces ORDER BY name", statement -> {}, WorkspaceTable::read);
  }

  /** Writes a workspace's row, on disk when this returns. */
  public void put(WorkspaceRow row, Event event) {
    database.durable(connection -> {
      WorkspaceTable.put(connection, row);
      write(connection, event);
    });
  }

  /** Forgets a workspace. */
  public void removeWorkspace(Tag name, Event event) {
    database.durable(connection -> {
      Database.execute(
          connection,
          "DELETE FROM workspaces WHERE name = ?",
          statement -> statement.setString(1, name.text()));
      write(connection, event);
    });
  }

  /** The whole sandbox journal, ordered by id. */
  public List<SandboxRow> sandboxes() {
    return database.query(
        "SELECT * FROM sandboxes ORDER BY id", statement -> {}, Registry::sandbox);
  }

  /** Writes entries of the sandbox journal: all or none, safe from the death of this process. */
  public void journal(Collection<SandboxRow> rows) {
    database.quick(connection -> {
      try (PreparedStatement statement = connection.prepareStatement(PUT_SANDBOX)) {
        for (SandboxRow row : rows) {
          bind(statement, row);
          statement.addBatch();
        }
        statement.executeBatch();
      }
    });
  }

  /** Strikes entries out of the sandbox journal. */
  public void strike(Collection<SandboxId> ids) {
    database.quick(connection -> {
      try (PreparedStatement statement =
          connection.prepareStatement("DELETE FROM sandboxes WHERE id = ?")) {
        for (SandboxId id : ids) {
          statement.setString(1, id.text());
          statement.addBatch();
        }
        statement.executeBatch();
      }
    });
  }

  /** Writes an event down. */
  public void note(Event event) {
    database.quick(connection -> write(connection, event));
  }

  /** The last events, newest first; at most {@code limit}. */
  public List<Event> events(int limit) {
    return database.query(
        "SELECT * FROM events ORDER BY seq DESC LIMIT ?",
        statement -> statement.setInt(1, limit),
        row ->
            new Event(
                row.getLong("at"),
                row.getString("kind"),
                row.getString("subject"),
                row.getString("message")));
  }

  private static void write(Connection connection, Event event) throws SQLException {
    Database.execute(
        connection,
        "INSERT INTO events (at, kind, subject, message) VALUES (?,?,?,?)",
        statement -> {
          statement.setLong(1, event.atUnixMs());
          statement.setString(2, event.kind());
          statement.setString(3, event.subject());
          statement.setString(4, event.message());
        });
    Database.execute(
        connection,
        "DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?",
        statement -> statement.setInt(1, MAX_EVENTS));
  }

  private static void bind(PreparedStatement statement, SandboxRow row) throws SQLException {
    statement.setString(1, row.id().text());
    statement.setString(2, row.tag().text());
    statement.setLong(3, row.createdAtUnix());
    statement.setString(4, row.engine().word());
    statement.setString(5, row.state().word());
    statement.setLong(6, row.pid());
    statement.setString(7, row.stamp());
    statement.setLong(8, row.memoryLimitMib());
    statement.setString(9, row.ended());
    statement.setInt(10, row.branches().count());
    statement.setString(11, row.branches().lastDir());
  }

  private static SandboxRow sandbox(ResultSet row) throws SQLException {
    return new SandboxRow(
        new SandboxId(row.getString("id")),
        new Tag(row.getString("tag")),
        row.getLong("created"),
        EngineName.of(row.getString("engine")),
        SandboxRow.State.valueOf(row.getString("state").toUpperCase(Locale.ROOT)),
        row.getLong("pid"),
        row.getString("stamp"),
        row.getLong("memory_limit_mib"),
        row.getString("ended"),
        new SandboxRow.Branches(row.getInt("branches"), row.getString("last_branch")));
  }

  @Override
  public void close() {
    database.close();
  }
}
