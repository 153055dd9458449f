package dev.forkd.store;

import dev.forkd.model.EngineName;
import dev.forkd.model.Event;
import dev.forkd.model.ForkdException;
import dev.forkd.model.LoggedEvent;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Snapshots, the sandbox journal and recent events, in one SQLite file. Thread-safe. */
public final class Registry implements AutoCloseable {
  /** Events kept; older ones go. */
  public static final int MAX_EVENTS = EventLog.MAX_EVENTS;

  private static final String PUT_SANDBOX =
      "INSERT OR REPLACE INTO sandboxes (id, tag, created, engine, state, pid, stamp,"
          + " memory_limit_mib, ended, branches, last_branch) VALUES (?,?,?,?,?,?,?,?,?,?,?)";

  private static final Logger LOG = LoggerFactory.getLogger(Registry.class);

  private final Database database;
  private final EventLog log;
  private final Set<SandboxId> unstruck = ConcurrentHashMap.newKeySet();

  private Registry(Database database) {
    this.database = database;
    this.log = new EventLog(database);
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
      log.write(connection, event);
    });
    log.written();
  }

  /** Forgets a snapshot. */
  public void remove(Tag tag, Event event) {
    database.durable(connection -> {
      Database.execute(
          connection,
          "DELETE FROM snapshots WHERE tag = ?",
          statement -> statement.setString(1, tag.text()));
      log.write(connection, event);
    });
    log.written();
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
      log.write(connection, event);
    });
    log.written();
  }

  /** Forgets a workspace. */
  public void removeWorkspace(Tag name, Event event) {
    database.durable(connection -> {
      Database.execute(
          connection,
          "DELETE FROM workspaces WHERE name = ?",
          statement -> statement.setString(1, name.text()));
      log.write(connection, event);
    });
    log.written();
  }

  /** What is known of the sandboxes that somebody was given, by id. */
  public Map<SandboxId, Terms> terms() {
    return database.query("SELECT * FROM terms", statement -> {}, TermsTable::read).stream()
        .collect(Collectors.toMap(Terms::id, Function.identity()));
  }

  /** Writes down what the next daemon must know; where that fails they end with this one. */
  public void terms(Collection<Terms> all) {
    attempt("terms of " + all, () -> database.quick(connection -> TermsTable.put(connection, all)));
  }

  /** The live template of each snapshot that had one, by tag. */
  public Map<Tag, String> templates() {
    return database
        .query(
            "SELECT tag, name FROM templates",
            statement -> {},
            row -> Map.entry(new Tag(row.getString("tag")), row.getString("name")))
        .stream()
        .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
  }

  /** Notes the live template of a snapshot. Where that fails it ends with this daemon. */
  public void template(Tag tag, String name) {
    attempt(
        "template of " + tag,
        () ->
            database.quick(connection ->
                Database.execute(
                    connection,
                    "INSERT OR REPLACE INTO templates (tag, name) VALUES (?,?)",
                    statement -> {
                      statement.setString(1, tag.text());
                      statement.setString(2, name);
                    })));
  }

  /** Forgets the live templates of all snapshots but these. */
  public void retainTemplates(Collection<Tag> kept) {
    List<Tag> gone = templates().keySet().stream().filter(tag -> !kept.contains(tag)).toList();
    database.quick(connection -> {
      for (Tag tag : gone) {
        Database.execute(
            connection,
            "DELETE FROM templates WHERE tag = ?",
            statement -> statement.setString(1, tag.text()));
      }
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

  /**
   * Writes down what became of a sandbox: that it was branched, or has ended. It has happened, so
   * this never fails: where it cannot be written the log tells it.
   */
  public void update(SandboxRow row) {
    attempt("state of " + row.id(), () -> journal(List.of(row)));
  }

  /**
   * Strikes entries out of the sandbox journal. They are gone already, so this never fails: what
   * cannot be struck out now, as on a full disk, is with the next ones.
   */
  public void strike(Collection<SandboxId> ids) {
    unstruck.addAll(ids);
    List<SandboxId> all = List.copyOf(unstruck);
    if (attempt("removal of " + all, () -> database.quick(connection -> delete(connection, all)))) {
      all.forEach(unstruck::remove);
    }
  }

  private static void delete(Connection connection, List<SandboxId> ids) throws SQLException {
    delete(connection, "DELETE FROM sandboxes WHERE id = ?", ids);
    delete(connection, "DELETE FROM terms WHERE id = ?", ids);
  }

  private static void delete(Connection connection, String sql, List<SandboxId> ids)
      throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (SandboxId id : ids) {
        statement.setString(1, id.text());
        statement.addBatch();
      }
      statement.executeBatch();
    }
  }

  private static boolean attempt(String what, Runnable write) {
    try {
      write.run();
      return true;
    } catch (ForkdException e) {
      LOG.error("event=not_written what=\"{}\" reason=\"{}\"", what, e.getMessage());
      return false;
    }
  }

  /** Writes an event down. */
  public void note(Event event) {
    note(List.of(event));
  }

  /**
   * Writes events down, in this order. What they tell has happened, whether that can be written or
   * not: where it cannot, the log has them.
   */
  public void note(Collection<Event> events) {
    if (attempt(
        "events " + events, () -> database.quick(connection -> write(connection, events)))) {
      log.written();
    }
  }

  private void write(Connection connection, Collection<Event> events) throws SQLException {
    for (Event event : events) {
      log.write(connection, event);
    }
  }

  /**
   * The events behind a number, oldest first, at most {@link EventLog#PAGE}.
   *
   * @param number of the last event that is known; -1 = the newest there is
   * @param patience how long to wait for the first; then the answer is empty
   */
  public List<LoggedEvent> follow(long number, Duration patience) {
    return log.follow(number, patience);
  }

  /** The number of the newest event; 0 when there has been none. */
  public long newestEvent() {
    return log.newest();
  }

  /** The last events, newest first; at most {@code limit}. */
  public List<Event> events(int limit) {
    return log.last(limit, "");
  }

  /** The last events of one sandbox, snapshot or workspace, newest first. */
  public List<Event> events(int limit, String subject) {
    return log.last(limit, subject);
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
