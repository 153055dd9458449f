package dev.forkd.store;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One SQLite file behind one connection and one lock.
 *
 * <p>Two kinds of transaction: {@link #durable} survives a loss of power; {@link #quick} survives
 * only the death of this process, which costs no disk flush. See https://sqlite.org/pragma.html,
 * {@code synchronous}: in WAL mode NORMAL never corrupts, it may forget.
 */
final class Database implements AutoCloseable {
  private static final int BUSY_MILLIS = 2_000;

  /** Work inside a transaction. */
  interface Work {
    void run(Connection connection) throws SQLException;
  }

  /** Sets the parameters of a statement. */
  interface Binder {
    void bind(PreparedStatement statement) throws SQLException;
  }

  /** Makes a value of the current row. */
  interface RowReader<T> {
    T read(ResultSet row) throws SQLException;
  }

  private final Path file;
  private final Connection connection;
  private final ReentrantLock lock = new ReentrantLock();

  private Database(Path file, Connection connection) {
    this.file = file;
    this.connection = connection;
  }

  /**
   * Opens or makes the file and brings it to the newest form.
   *
   * @throws ForkdException CONFLICT when somebody else holds it, ENGINE when it is damaged or newer
   *     than this program
   */
  static Database open(Path file, List<String> migrations) {
    Connection connection = connect(file);
    Database database = new Database(file, connection);
    try {
      database.prepare(migrations);
      return database;
    } catch (SQLException e) {
      database.close();
      throw database.failure("cannot be opened", e);
    } catch (RuntimeException e) {
      database.close();
      throw e;
    }
  }

  private static Connection connect(Path file) {
    // The driver unpacks its library when it is first used: beside the database, not into /tmp.
    System.setProperty(
        "org.sqlite.tmpdir", file.resolveSibling(".").toAbsolutePath().normalize().toString());
    Properties properties = new Properties();
    properties.setProperty("busy_timeout", Integer.toString(BUSY_MILLIS));
    try {
      return DriverManager.getConnection("jdbc:sqlite:" + file, properties);
    } catch (SQLException e) {
      throw new Failure(FailureKind.ENGINE, "registry " + file + " cannot be opened: " + e)
          .thrown(e);
    }
  }

  private void prepare(List<String> migrations) throws SQLException {
    pragma("journal_mode = WAL");
    pragma("synchronous = FULL");
    pragma("foreign_keys = ON");
    List<String> verdict = query("PRAGMA quick_check(1)", s -> {}, row -> row.getString(1));
    if (!verdict.equals(List.of("ok"))) {
      throw new ForkdException(
          FailureKind.ENGINE,
          "registry " + file + " is damaged (" + String.join("; ", verdict) + "): " + REMEDY);
    }
    migrate(migrations);
  }

  private static final String REMEDY =
      "move the file aside to start with an empty registry; snapshots are made again from recipes";

  private void migrate(List<String> migrations) {
    int version = query("PRAGMA user_version", s -> {}, row -> row.getInt(1)).getFirst();
    if (version > migrations.size()) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "registry %s has form %d, this forkd knows up to %d: use the newer forkd again"
              .formatted(file, version, migrations.size()));
    }
    for (int next = version; next < migrations.size(); next++) {
      String script = migrations.get(next);
      int reached = next + 1;
      durable(c -> {
        try (Statement statement = c.createStatement()) {
          for (String command : script.split(";", -1)) {
            if (!command.isBlank()) {
              statement.execute(command);
            }
          }
          statement.execute("PRAGMA user_version = " + reached);
        }
      });
    }
  }

  private void pragma(String text) throws SQLException {
    command("PRAGMA " + text);
  }

  /** All of the work or nothing of it, on disk when this returns. */
  void durable(Work work) {
    transaction("FULL", work);
  }

  /** All of the work or nothing of it, safe from the death of this process only. */
  void quick(Work work) {
    transaction("NORMAL", work);
  }

  private void transaction(String synchronous, Work work) {
    lock.lock();
    try {
      pragma("synchronous = " + synchronous);
      command("BEGIN");
      try {
        work.run(connection);
        command("COMMIT");
      } catch (SQLException | RuntimeException e) {
        rollback(e);
        throw e;
      }
    } catch (SQLException e) {
      throw failure("refused a change", e);
    } finally {
      lock.unlock();
    }
  }

  // An open transaction would swallow the next one. After some failures, such as a full disk,
  // SQLite
  // has rolled back by itself and says so; the first failure is the one that is worth telling.
  private void rollback(Exception cause) {
    try {
      command("ROLLBACK");
    } catch (SQLException e) {
      cause.addSuppressed(e);
    }
  }

  private void command(String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(text);
    }
  }

  /** Runs one statement for its effect. */
  static void execute(Connection connection, String sql, Binder binder) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      binder.bind(statement);
      statement.executeUpdate();
    }
  }

  /** All rows of a query. */
  <T> List<T> query(String sql, Binder binder, RowReader<T> reader) {
    lock.lock();
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      binder.bind(statement);
      List<T> rows = new ArrayList<>();
      try (ResultSet result = statement.executeQuery()) {
        while (result.next()) {
          rows.add(reader.read(result));
        }
      }
      return rows;
    } catch (SQLException e) {
      throw failure("cannot be read", e);
    } finally {
      lock.unlock();
    }
  }

  private ForkdException failure(String what, SQLException e) {
    // Primary result codes, https://sqlite.org/rescode.html: 5 BUSY, 6 LOCKED, 13 FULL.
    return switch (e.getErrorCode() & 0xff) {
      case 5, 6 ->
          new Failure(
                  FailureKind.CONFLICT,
                  "registry " + file + " is locked by another program: end it and try again")
              .thrown(e);
      case 13 ->
          new Failure(FailureKind.EXHAUSTED, "registry " + file + ": the disk is full").thrown(e);
      case 11, 26 ->
          new Failure(FailureKind.ENGINE, "registry " + file + " is damaged: " + REMEDY).thrown(e);
      default ->
          new Failure(FailureKind.ENGINE, "registry " + file + " " + what + ": " + e.getMessage())
              .thrown(e);
    };
  }

  @Override
  public void close() {
    lock.lock();
    try {
      connection.close();
    } catch (SQLException e) {
      throw failure("cannot be closed", e);
    } finally {
      lock.unlock();
    }
  }
}
