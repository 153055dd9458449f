package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceInfo;
import dev.forkd.model.WorkspaceStatus;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WorkspacesTest {
  @TempDir Path dir;
  private ServiceFixture service;

  @BeforeEach
  void open() {
    service = ServiceFixture.open(dir);
    service.create("demo");
  }

  @AfterEach
  void close() {
    service.close();
  }

  private WorkspaceInfo create(String name) {
    return service.forkd.handle(
        new Request.CreateWorkspace(
            new Tag(name), new Tag("demo"), true, OptionalLong.of(64), true));
  }

  private WorkspaceInfo get(String name) {
    return service.forkd.handle(new Request.GetWorkspace(new Tag(name)));
  }

  private WorkspaceInfo suspend(String name, boolean diff) {
    return service.forkd.handle(new Request.Suspend(new Tag(name), diff));
  }

  private WorkspaceInfo resume(String name) {
    return service.forkd.handle(new Request.Resume(new Tag(name), false, true));
  }

  private void delete(String name) {
    service.forkd.handle(new Request.DeleteWorkspace(new Tag(name)));
  }

  private List<String> tags() {
    return service.forkd.handle(new Request.ListSnapshots()).stream()
        .map(SnapshotInfo::tag)
        .map(Tag::text)
        .toList();
  }

  private List<SandboxInfo> sandboxes() {
    return service.forkd.handle(new Request.ListSandboxes(dev.forkd.model.SandboxFilter.RUNNING));
  }

  @Test
  void aWorkspaceIsSuspendedAndResumedWithItsTerms() {
    WorkspaceInfo made = create("w");
    assertThat(made.id()).isEqualTo("ws-" + made.sandbox().orElseThrow().substring(0, 16));
    assertThat(made.status()).isEqualTo(WorkspaceStatus.RUNNING);
    WorkspaceInfo suspended = suspend("w", false);
    assertThat(suspended.status()).isEqualTo(WorkspaceStatus.SUSPENDED);
    assertThat(suspended.state()).contains("ws-w-state");
    assertThat(suspended.sandbox()).isEmpty();
    assertThat(sandboxes()).isEmpty();
    assertThat(tags()).containsExactly("demo", "ws-w-state");
    WorkspaceInfo resumed = resume("w");
    assertThat(resumed.netns()).isTrue();
    assertThat(sandboxes()).hasSize(1);
    assertThat(sandboxes().getFirst().tag()).isEqualTo(new Tag("ws-w-state"));
    assertThat(sandboxes().getFirst().memoryLimitMib()).hasValue(64);
    assertThat(resumed.sandbox()).contains(sandboxes().getFirst().id().text());
    delete("w");
    assertThat(sandboxes()).isEmpty();
    assertThat(tags()).containsExactly("demo");
    assertFails(FailureKind.NOT_FOUND, "workspace w not found", () -> get("w"));
  }

  @Test
  void manyRoundsKeepOneState() {
    create("w");
    for (int round = 0; round < 40; round++) {
      suspend("w", round % 2 == 0);
      assertThat(tags()).hasSize(2);
      resume("w");
    }
    assertThat(service.engine.templates().stream().filter(template -> !template.closed()))
        .hasSizeLessThanOrEqualTo(2);
  }

  @Test
  void whatCannotBeSavedRunsOn() {
    WorkspaceInfo made = create("w");
    service.engine.branching().fail(new Failure(FailureKind.ENGINE, "no room", ""));
    assertFails(FailureKind.ENGINE, "no room", () -> suspend("w", false));
    assertThat(get("w")).isEqualTo(made);
    assertThat(sandboxes()).hasSize(1);
    service.engine.branching().heal();
    suspend("w", false);
    resume("w");
    service.engine.branching().failCopies(new Failure(FailureKind.ENGINE, "no room", ""));
    assertFails(FailureKind.ENGINE, "no room", () -> suspend("w", false));
    assertThat(tags()).containsExactly("demo", "ws-w-state");
    assertThat(get("w").status()).isEqualTo(WorkspaceStatus.RUNNING);
  }

  @Test
  void aStateThatOthersUseStays() {
    create("w");
    suspend("w", false);
    service.fork("ws-w-state", 1);
    resume("w");
    assertThat(suspend("w", false).state()).contains("ws-w-st001");
    assertThat(tags()).contains("ws-w-state", "ws-w-st001");
  }

  @Test
  void theStateOfAWorkspaceIsNotDeletedByMistake() {
    create("w");
    suspend("w", false);
    Request.DeleteSnapshot mistake =
        new Request.DeleteSnapshot(new Tag("ws-w-state"), false, false);
    assertFails(FailureKind.CONFLICT, "workspace w", () -> service.forkd.handle(mistake));
    resume("w");
  }

  @Test
  void itsStateForbidsSomeRequests() {
    assertFails(FailureKind.NOT_FOUND, "workspace w not found", () -> suspend("w", false));
    create("w");
    assertFails(FailureKind.CONFLICT, "workspace w already exists", () -> create("w"));
    assertFails(FailureKind.INVALID, "is Running", () -> resume("w"));
    suspend("w", false);
    assertFails(
        FailureKind.INVALID,
        "workspace w is Suspended, not Running — suspend requires a live sandbox",
        () -> suspend("w", false));
  }

  @Test
  void aSnapshotThatIsNotThereLeavesNoWorkspace() {
    assertFails(
        FailureKind.NOT_FOUND,
        "snapshot nope not found",
        () ->
            service.forkd.handle(
                new Request.CreateWorkspace(
                    new Tag("w"), new Tag("nope"), false, OptionalLong.empty(), true)));
    assertThat(service.forkd.handle(new Request.ListWorkspaces())).isEmpty();
  }

  @Test
  void aSandboxThatIsGoneMakesItStaleAndItResumesFromItsSource() {
    WorkspaceInfo made = create("w");
    service.forkd.handle(new Request.Destroy(new SandboxId(made.sandbox().orElseThrow())));
    assertThat(get("w").status()).isEqualTo(WorkspaceStatus.STALE);
    assertFails(FailureKind.INVALID, "is Stale", () -> suspend("w", false));
    assertThat(resume("w").status()).isEqualTo(WorkspaceStatus.RUNNING);
    assertThat(sandboxes().getFirst().tag()).isEqualTo(new Tag("demo"));
  }

  @Test
  void aCrashMakesRunningOnesStaleAndLeavesSuspendedOnes() {
    create("runs");
    create("sleeps");
    suspend("sleeps", true);
    service.crash();
    service = ServiceFixture.open(dir);
    assertThat(get("runs").status()).isEqualTo(WorkspaceStatus.STALE);
    assertThat(get("runs").sandbox()).isEmpty();
    assertThat(get("sleeps").status()).isEqualTo(WorkspaceStatus.SUSPENDED);
    assertThat(resume("sleeps").status()).isEqualTo(WorkspaceStatus.RUNNING);
    assertThat(service.engine.branching().restored()).hasSize(1);
  }

  @Test
  void aLostStateIsToldAndCanBeGivenUp() {
    service.engine.branching().inMemory();
    create("w");
    suspend("w", false);
    service.close();
    service = ServiceFixture.open(dir);
    assertFails(FailureKind.CONFLICT, "memory of a daemon", () -> resume("w"));
    service.forkd.handle(new Request.Resume(new Tag("w"), true, true));
    assertThat(sandboxes().getFirst().tag()).isEqualTo(new Tag("demo"));
    delete("w");
    assertThat(tags()).containsExactly("demo");
  }

  @Test
  void longNamesHaveStatesOfTheirOwn() {
    String common = "n".repeat(63);
    create(common + "a");
    create(common + "b");
    String first = suspend(common + "a", false).state().orElseThrow();
    assertThat(suspend(common + "b", false).state()).isPresent().get().isNotEqualTo(first);
  }
}
