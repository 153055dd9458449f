package dev.forkd.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.forkd.model.EngineName;
import dev.forkd.model.Event;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class RegistryTest {
  @TempDir Path dir;

  private Path file() {
    return dir.resolve("forkd.db");
  }

  private static SnapshotRow snapshot(String tag) {
    return new SnapshotRow(
        new Tag(tag),
        Path.of("/state/snapshots", tag),
        1_750_000_000,
        SnapshotStatus.WRITING,
        "name: x\n",
        "x",
        Optional.of("import x\n"),
        Path.of("/home/me"),
        EngineName.PROCESS,
        "",
        OptionalLong.empty(),
        "{}",
        "",
        Origin.RECIPE,
        new SnapshotMarks(Map.of("team", "a=b", "z/y", ""), true));
  }

  private static SandboxRow sandbox(long number) {
    return SandboxRow.planned(
        SandboxId.of(1_750_000_000, number), new Tag("t"), 1_750_000_000, EngineName.VM, 64);
  }

  private static Event event(String kind) {
    return new Event(1, kind, "s", "m");
  }

  @Test
  void rowsComeBackAsTheyWere() {
    SnapshotRow cold = snapshot("b");
    SnapshotRow warm = snapshot("a").warmed("d1gest", 1234, "{\"python\":\"3\"}");
    SandboxRow running = sandbox(1).at(SandboxRow.State.RUNNING, ProcessHandle.current().pid());
    SandboxRow ended = sandbox(2).ended("killed; \"quoted\" 'text'");
    try (Registry registry = Registry.open(file())) {
      registry.put(cold, event("one"));
      registry.put(warm, event("two"));
      registry.journal(List.of(running, ended, sandbox(3)));
    }
    try (Registry registry = Registry.open(file())) {
      assertThat(registry.snapshots()).containsExactly(warm, cold);
      assertThat(registry.sandboxes()).containsExactly(running, ended, sandbox(3));
      registry.put(cold.failed("why"), event("three"));
      registry.remove(new Tag("a"), event("four"));
      registry.strike(List.of(running.id(), sandbox(3).id()));
      registry.strike(List.of(SandboxId.of(1, 1)));
      assertThat(registry.snapshots()).containsExactly(cold.failed("why"));
      assertThat(registry.sandboxes()).containsExactly(ended);
      assertThat(registry.events(2)).extracting(Event::kind).containsExactly("four", "three");
      registry.note(new Event(1, "five", "somebody", ""));
      assertThat(registry.events(9, "somebody")).extracting(Event::kind).containsExactly("five");
      assertThat(registry.events(9, "nobody")).isEmpty();
    }
  }

  @Test
  void eventsAreBounded() {
    try (Registry registry = Registry.open(file())) {
      IntStream.range(0, Registry.MAX_EVENTS + 50).forEach(i -> registry.note(event("e" + i)));
      List<Event> events = registry.events(Integer.MAX_VALUE);
      assertThat(events).hasSize(Registry.MAX_EVENTS);
      assertThat(events.getFirst().kind()).isEqualTo("e" + (Registry.MAX_EVENTS + 49));
    }
  }

  @Test
  void manyThreadsWrite() {
    try (Registry registry = Registry.open(file())) {
      IntStream.range(0, 200)
          .parallel()
          .forEach(i -> {
            registry.journal(List.of(sandbox(i)));
            registry.note(event("e"));
          });
      assertThat(registry.sandboxes()).hasSize(200);
    }
  }

  @Test
  void everythingAcknowledgedSurvivesTheDeathOfTheProcess() throws Exception {
    Process writer =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Writer.class.getName(),
                file().toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    List<String> acknowledged = new ArrayList<>();
    try (Stream<String> lines = writer.inputReader().lines()) {
      lines.limit(60).forEach(acknowledged::add);
      writer.destroyForcibly();
    }
    assertThat(writer.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(acknowledged).hasSize(60);
    try (Registry registry = Registry.open(file())) {
      assertThat(registry.sandboxes()).extracting(row -> row.id().text()).containsAll(acknowledged);
      assertThat(registry.snapshots()).isNotEmpty();
    }
  }

  /** Journals for ever; killed by the test. */
  static final class Writer {
    public static void main(String[] args) {
      try (Registry registry = Registry.open(Path.of(args[0]))) {
        registry.put(snapshot("s"), event("e"));
        for (long i = 0; ; i++) {
          SandboxRow row = sandbox(i);
          registry.journal(List.of(row));
          System.out.println(row.id());
        }
      }
    }
  }

  @Test
  void aLockedRegistryIsToldAsSuch() throws SQLException {
    try (Registry registry = Registry.open(file());
        Connection other = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = other.createStatement()) {
      statement.execute("BEGIN IMMEDIATE");
      assertThatThrownBy(() -> registry.journal(List.of(sandbox(1))))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.CONFLICT))
          .hasMessageContaining("locked")
          .hasMessageContaining(file().toString());
      statement.execute("ROLLBACK");
      registry.journal(List.of(sandbox(1)));
      assertThat(registry.sandboxes()).hasSize(1);
    }
  }

  @Test
  void whatIsGoneIsStruckOutLaterWhenItCannotBeNow() throws SQLException {
    try (Registry registry = Registry.open(file());
        Connection other = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = other.createStatement()) {
      registry.journal(List.of(sandbox(1), sandbox(2), sandbox(3)));
      statement.execute("BEGIN IMMEDIATE");
      registry.strike(List.of(sandbox(1).id()));
      registry.note(event("lost"));
      statement.execute("ROLLBACK");
      assertThat(registry.sandboxes()).hasSize(3);
      assertThat(registry.events(10)).isEmpty();
      registry.strike(List.of(sandbox(2).id()));
      assertThat(registry.sandboxes()).containsExactly(sandbox(3));
    }
  }

  @Test
  void aFileThatIsNoRegistryIsRefused() throws IOException {
    Files.writeString(file(), "this is no database at all\n".repeat(200));
    assertThatThrownBy(() -> Registry.open(file()))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.ENGINE))
        .hasMessageContaining(file().toString())
        .hasMessageContaining("damaged");
  }

  @Test
  void aDamagedRegistryIsRefused() throws IOException {
    try (Registry registry = Registry.open(file())) {
      IntStream.range(0, 2000).forEach(i -> registry.note(event("e" + i)));
    }
    byte[] bytes = Files.readAllBytes(file());
    for (int i = 4096; i < bytes.length - 1; i += 97) {
      bytes[i] ^= 0x5a;
    }
    Files.write(file(), bytes);
    assertThatThrownBy(() -> Registry.open(file()))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("damaged");
  }

  @Test
  void anOlderRegistryIsBroughtUpToDate() {
    try (Database old = Database.open(file(), Schema.MIGRATIONS.subList(0, 1))) {
      old.durable(connection -> {
        Database.execute(
            connection,
            "INSERT INTO sandboxes VALUES ('sb-1-0001','t',1,'vm','running',7,0,'')",
            statement -> {});
        Database.execute(
            connection,
            "INSERT INTO snapshots VALUES ('t','/t',1,'ready','name: t','t','/','process','d',9,"
                + "'{}','','',NULL,'')",
            statement -> {});
      });
    }
    try (Registry registry = Registry.open(file())) {
      assertThat(registry.sandboxes())
          .extracting(SandboxRow::pid, SandboxRow::stamp)
          .containsExactly(tuple(7L, ""));
      assertThat(registry.snapshots())
          .extracting(SnapshotRow::warmScript)
          .containsOnly(Optional.empty());
      SnapshotRow kept = registry.snapshots().getFirst();
      registry.put(kept, event("put"));
      assertThat(registry.snapshots()).containsExactly(kept);
      registry.journal(List.of(sandbox(1)));
    }
    Registry.open(file()).close();
  }

  @Test
  void aNewerRegistryIsLeftAlone() throws SQLException {
    Registry.open(file()).close();
    try (Connection other = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = other.createStatement()) {
      statement.execute("PRAGMA user_version = 999");
    }
    assertThatThrownBy(() -> Registry.open(file()))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.UNSUPPORTED))
        .hasMessageContaining("999");
  }
}
