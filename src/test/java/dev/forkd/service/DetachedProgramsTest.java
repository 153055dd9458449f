package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.DetachedProgram;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Request;
import dev.forkd.model.Request.WarmUse;
import dev.forkd.model.SandboxId;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DetachedProgramsTest {
  @TempDir Path dir;
  private ServiceFixture service;
  private SandboxId id;

  @BeforeEach
  void open() {
    service = ServiceFixture.open(dir);
    service.create("demo");
    id = service.fork("demo", 1).getFirst().id();
  }

  @AfterEach
  void close() {
    service.close();
  }

  private DetachedProgram detach(String... args) {
    ProgramSpec spec = ProgramSpec.of(new Program.Exec(List.of(args)), Duration.ofSeconds(5));
    return service.forkd.handle(new Request.Detach(id, spec, WarmUse.AUTO));
  }

  private List<DetachedProgram> list() {
    return service.forkd.handle(new Request.ListDetached(id));
  }

  private DetachedProgram get(String name) {
    return service.forkd.handle(new Request.GetDetached(id, name));
  }

  @Test
  void goesOnByItselfAndIsRemembered() {
    DetachedProgram started = detach("exit", "3");
    assertThat(started.command()).containsExactly("exit", "3");
    await().until(() -> get(started.name()).end().isPresent());
    assertThat(get(started.name()).status().orElseThrow().code()).isEqualTo(3);
    assertThat(get(started.name()).error()).isEmpty();
    assertThat(list()).containsExactly(get(started.name()));
  }

  @Test
  void isEndedAndForgotten() {
    String name = detach("wait").name();
    assertThat(get(name).end()).isEmpty();
    service.forkd.handle(new Request.EndDetached(id, name));
    assertFails(FailureKind.NOT_FOUND, "no detached program", () -> get(name));
    assertThat(service.engine.guests().getFirst().programs().getLast().closed()).isTrue();
    assertFails(
        FailureKind.NOT_FOUND,
        "no detached program",
        () -> service.forkd.handle(new Request.EndDetached(id, name)));
  }

  @Test
  void belongsToItsSandbox() {
    String name = detach("wait").name();
    SandboxId other = service.fork("demo", 1).getFirst().id();
    assertFails(
        FailureKind.NOT_FOUND,
        "no detached program",
        () -> service.forkd.handle(new Request.GetDetached(other, name)));
    service.forkd.handle(new Request.Destroy(id));
    assertFails(FailureKind.NOT_FOUND, "not found", () -> get(name));
    assertFails(FailureKind.NOT_FOUND, "not found", () -> list());
  }

  @Test
  void thoseThatHaveEndedGiveTheirPlaces() {
    String first = detach("exit", "0").name();
    await().until(() -> get(first).end().isPresent());
    for (int i = 1; i < DetachedPrograms.MAX_IN_SANDBOX; i++) {
      detach("wait");
    }
    assertThat(list()).hasSize(DetachedPrograms.MAX_IN_SANDBOX);
    String more = detach("wait").name();
    assertFails(FailureKind.NOT_FOUND, "no detached program", () -> get(first));
    assertFails(FailureKind.EXHAUSTED, "in this sandbox", () -> detach("wait"));
    assertThat(service.engine.guests().getFirst().programs().getLast().closed()).isTrue();
    assertThat(list()).hasSize(DetachedPrograms.MAX_IN_SANDBOX);
    service.forkd.handle(new Request.EndDetached(id, more));
    assertThat(detach("wait").end()).isEmpty();
  }

  @Test
  void commandsAreCutForTheList() {
    String[] words = new String[100];
    java.util.Arrays.fill(words, "x".repeat(1000));
    words[0] = "wait";
    List<String> told = detach(words).command();
    assertThat(told).hasSize(32);
    assertThat(told.getLast()).hasSize(257);
  }
}
