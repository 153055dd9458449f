package dev.forkd.store;

import dev.forkd.model.Event;
import dev.forkd.model.LoggedEvent;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The events table, as a log that can be followed: whoever reads keeps the number of the last event
 * it has seen, so there is no queue for a slow reader to fill. Thread-safe.
 */
final class EventLog {
  /** Events kept; older ones go. */
  static final int MAX_EVENTS = 10_000;

  /** Events in one answer. */
  static final int PAGE = 500;

  private final Database database;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition written = lock.newCondition();

  EventLog(Database database) {
    this.database = database;
  }

  /** Writes one, in the caller's transaction; after it the caller says {@link #written}. */
  void write(Connection connection, Event event) throws SQLException {
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

  /** Wakes those who follow. */
  void written() {
    lock.lock();
    try {
      written.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** The last ones of a subject, newest first; "" = of all. */
  List<Event> last(int limit, String subject) {
    return database.query(
        "SELECT * FROM events WHERE ?1 IN ('', subject) ORDER BY seq DESC LIMIT ?2",
        statement -> {
          statement.setString(1, subject);
          statement.setInt(2, limit);
        },
        row -> read(row).event());
  }

  List<LoggedEvent> follow(long number, Duration patience) {
    long after = number < 0 ? newest() : number;
    long left = patience.toNanos();
    lock.lock();
    try {
      List<LoggedEvent> found = after(after);
      // The query is made under the lock: what is written after it finds us waiting.
      while (found.isEmpty() && left > 0) {
        left = written.awaitNanos(Math.min(left, TimeUnit.HOURS.toNanos(1)));
        found = after(after);
      }
      return found;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return List.of();
    } finally {
      lock.unlock();
    }
  }

  /** The number of the newest one; 0 = none yet. */
  long newest() {
    return database
        .query("SELECT coalesce(max(seq), 0) FROM events", s -> {}, row -> row.getLong(1))
        .getFirst();
  }

  private List<LoggedEvent> after(long number) {
    return database.query(
        "SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT " + PAGE,
        statement -> statement.setLong(1, number),
        EventLog::read);
  }

  private static LoggedEvent read(ResultSet row) throws SQLException {
    return new LoggedEvent(
        row.getLong("seq"),
        new Event(
            row.getLong("at"),
            row.getString("kind"),
            row.getString("subject"),
            row.getString("message")));
  }
}
