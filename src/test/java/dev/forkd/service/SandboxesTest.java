package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.engine.ForkPlan;
import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.Tag;
import dev.forkd.store.SandboxRow;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SandboxesTest {
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

  private List<SandboxInfo> list() {
    return service.forkd.handle(new Request.ListSandboxes(SandboxFilter.RUNNING));
  }

  private List<SandboxInfo> all() {
    return service.forkd.handle(new Request.ListSandboxes(SandboxFilter.of(true)));
  }

  private SandboxInfo get(SandboxId id) {
    return service.forkd.handle(new Request.GetSandbox(id));
  }

  @Test
  void nothingIsWrittenForANextDaemonByAnEngineThatKeepsNothing() {
    SandboxId kept = service.fork("demo", 2).getFirst().id();
    service.forkd.handle(new Request.Renew(kept, Optional.empty(), Optional.empty()));
    assertThat(service.registry.terms()).isEmpty();
    assertThat(service.registry.templates()).isEmpty();
    service.engine.keep();
    service.forkd.handle(new Request.Renew(kept, Optional.empty(), Optional.empty()));
    assertThat(service.registry.terms()).containsOnlyKeys(kept);
  }

  private void destroy(SandboxId id) {
    service.forkd.handle(new Request.Destroy(id));
  }

  private List<SandboxInfo> fork(int n, long mib) {
    return service.forkd.handle(new Request.Fork(new Tag("demo"), n, OptionalLong.of(mib)));
  }

  @Test
  void aBatchIsOnePlanWithDifferentIdentities() {
    List<SandboxInfo> forked = service.fork("demo", 16);
    assertThat(list()).isEqualTo(forked);
    assertThat(service.engine.lastTemplate().forkPlans()).hasSize(1);
    ForkPlan plan = service.engine.lastTemplate().forkPlans().getFirst();
    Set<String> machines = new HashSet<>();
    plan.children().forEach(child -> machines.add(child.machineId()));
    assertThat(machines).hasSize(16).allMatch(id -> id.matches("[0-9a-f]{32}"));
    assertThat(forked).extracting(SandboxInfo::id).doesNotHaveDuplicates().isSorted();
    assertThat(forked)
        .allSatisfy(info -> {
          assertThat(info.id().text()).matches("sb-[0-9a-f]{8}-[0-9a-f]{4,}");
          assertThat(info.tag()).isEqualTo(new Tag("demo"));
          assertThat(info.pid()).isGreaterThan(5_000_000);
          assertThat(info.engine()).isEqualTo(EngineName.PROCESS);
          assertThat(info.state()).isEqualTo(SandboxInfo.State.RUNNING);
          assertThat(info.runtime()).isEqualTo(Pong.RuntimeState.READY);
          assertThat(info.readyMs()).isGreaterThanOrEqualTo(7);
          assertThat(info.memoryLimitMib()).isEmpty();
        });
    assertThat(service.registry.sandboxes())
        .hasSize(16)
        .allSatisfy(row -> assertThat(row.state()).isEqualTo(SandboxRow.State.RUNNING))
        .allSatisfy(row -> assertThat(row.pid()).isGreaterThan(5_000_000));
  }

  @Test
  void aMemoryLimitOverridesTheRecipes() {
    SandboxInfo info = fork(1, 64).getFirst();
    assertThat(info.memoryLimitMib()).hasValue(64);
    Limits limits = service.engine.lastTemplate().forkPlans().getFirst().limits();
    assertThat(limits).isEqualTo(Limits.DEFAULT.withMemoryBytes(64L << 20));
  }

  @Test
  void memoryInUseIsToldAndCounted() {
    SandboxInfo counted = service.fork("demo", 1).getFirst();
    SandboxInfo other = service.fork("demo", 1).getFirst();
    service.guest(counted).use(7_000_000);
    assertThat(list())
        .extracting(SandboxInfo::memoryBytes)
        .containsExactly(OptionalLong.of(7_000_000), OptionalLong.empty());
    assertThat(service.forkd.metricsText())
        .contains(
            "forkd_sandbox_memory_bytes{sandbox=\"%s\",snapshot=\"demo\"} 7000000\n"
                .formatted(counted.id()))
        .doesNotContain("sandbox=\"" + other.id());
  }

  @Test
  void anImpossibleMemoryLimitIsRefused() {
    for (long mib : new long[] {0, 3, -1, Long.MAX_VALUE}) {
      assertFails(FailureKind.INVALID, "memory_limit_mib", () -> fork(1, mib));
    }
    assertThat(service.registry.sandboxes()).isEmpty();
  }

  @Test
  void oneChildThatFailsEndsTheBatch() {
    service.engine.failChildren(index -> index == 2);
    assertFails(FailureKind.EXHAUSTED, "1 of 4 children", () -> service.fork("demo", 4));
    assertThat(service.engine.guests()).isEmpty();
    assertThat(list()).isEmpty();
    assertThat(service.registry.sandboxes()).isEmpty();
    service.engine.failChildren(index -> false);
    service.forkd.handle(new Request.DeleteSnapshot(new Tag("demo"), false, false));
  }

  @Test
  void theJournalIsWrittenBeforeAnythingExists() {
    List<SandboxRow.State> seen = new ArrayList<>();
    service.engine.failChildren(index -> {
      service.registry.sandboxes().forEach(row -> seen.add(row.state()));
      return true;
    });
    assertThatThrownBy(() -> service.fork("demo", 1)).isInstanceOf(ForkdException.class);
    assertThat(seen).containsExactly(SandboxRow.State.CREATING);
  }

  @Test
  void unknownSnapshotsAndSandboxesAreTold() {
    SandboxId nobody = new SandboxId("sb-0-0000");
    assertFails(FailureKind.NOT_FOUND, "snapshot nope", () -> service.fork("nope", 1));
    assertFails(FailureKind.NOT_FOUND, "sandbox sb-0-0000 not found", () -> get(nobody));
    assertFails(FailureKind.NOT_FOUND, "sandbox sb-0-0000 not found", () -> destroy(nobody));
    assertFails(
        FailureKind.NOT_FOUND, "not found", () -> service.forkd.handle(new Request.Ping(nobody)));
  }

  @Test
  void aDestroyedSandboxIsGone() {
    SandboxInfo info = service.fork("demo", 2).getFirst();
    FakeGuest guest = service.guest(info);
    destroy(info.id());
    assertThat(guest.closed()).isTrue();
    assertThat(list()).hasSize(1).doesNotContain(info);
    assertThat(service.registry.sandboxes()).hasSize(1);
    assertFails(FailureKind.NOT_FOUND, "not found", () -> destroy(info.id()));
  }

  @Test
  void aSandboxThatCannotBeEndedStaysSoThatOneCanTryAgain() {
    SandboxInfo info = service.fork("demo", 1).getFirst();
    FakeGuest guest = service.guest(info);
    guest.unkillable(true);
    assertFails(FailureKind.ENGINE, "could not be ended", () -> destroy(info.id()));
    assertThat(list()).containsExactly(info);
    guest.unkillable(false);
    destroy(info.id());
    assertThat(list()).isEmpty();
  }

  @Test
  void aSandboxThatEndsByItselfIsRememberedWithItsReason() {
    List<SandboxInfo> two = service.fork("demo", 2);
    SandboxInfo info = two.getFirst();
    FakeGuest guest = service.guest(info);
    guest.end("killed: out of memory\n(limit 64 MiB)\u0000");
    await().until(() -> get(info.id()).state() == SandboxInfo.State.ENDED);
    assertThat(get(info.id()).ended()).hasValue("killed: out of memory (limit 64 MiB)");
    assertThat(get(info.id()).runtime()).isEqualTo(Pong.RuntimeState.ENDED);
    assertThat(list()).containsExactly(two.getLast());
    assertThat(all()).containsExactly(get(info.id()), two.getLast());
    assertFails(
        FailureKind.CONFLICT,
        "has ended: killed: out of memory",
        () -> service.forkd.handle(new Request.Ping(info.id())));
    await().until(guest::closed);
    await().until(() -> demo().sandboxes() == 1);
    assertThat(service.forkd.metricsText())
        .contains("forkd_sandboxes_active 1\n")
        .contains("forkd_sandboxes_ended_total{reason=\"oom\"} 1\n");
    destroy(info.id());
    assertFails(FailureKind.NOT_FOUND, "not found", () -> get(info.id()));
  }

  private dev.forkd.model.SnapshotInfo demo() {
    return service.forkd.handle(new Request.GetSnapshot(new Tag("demo")));
  }

  @Test
  void onlyTheLastEndedSandboxesAreRemembered() {
    for (int batch = 0; batch < 3; batch++) {
      service.fork("demo", 400);
      service.engine.guests().forEach(guest -> guest.end("gone"));
      await().until(() -> demo().sandboxes() == 0);
    }
    await()
        .untilAsserted(() -> assertThat(service.registry.sandboxes()).hasSize(Sandboxes.MAX_ENDED));
    assertThat(all()).hasSize(Sandboxes.MAX_ENDED);
    assertThat(list()).isEmpty();
  }

  @Test
  void afterADeathOfTheDaemonItsSandboxesAreToldAsEnded() {
    SandboxInfo info = service.fork("demo", 2).getFirst();
    service.crash();
    service = ServiceFixture.open(dir);
    assertThat(list()).isEmpty();
    assertThat(all()).hasSize(2);
    assertThat(get(info.id()).state()).isEqualTo(SandboxInfo.State.ENDED);
    assertThat(get(info.id()).ended().orElseThrow()).contains("daemon");
    service.forkd.handle(new Request.DeleteSnapshot(new Tag("demo"), false, false));
    destroy(info.id());
    assertThat(all()).hasSize(1);
  }

  @Test
  void whatNobodyWasGivenIsForgottenAfterADeath() {
    service.registry.journal(
        List.of(
            row(1, SandboxRow.State.CREATING),
            row(2, SandboxRow.State.PARKED),
            row(3, SandboxRow.State.RUNNING)));
    service.crash();
    service = ServiceFixture.open(dir);
    assertThat(all()).extracting(info -> info.id().text()).containsExactly("sb-7-0003");
    assertThat(service.registry.sandboxes())
        .extracting(SandboxRow::state)
        .containsExactly(SandboxRow.State.ENDED);
  }

  private static SandboxRow row(long number, SandboxRow.State state) {
    return SandboxRow.planned(SandboxId.of(7, number), new Tag("demo"), 7, EngineName.PROCESS, 0)
        .at(state, 0);
  }

  @Test
  void whatADeadDaemonLeftBehindIsEndedIfItIsTheSameProcess() throws Exception {
    Process mine = new ProcessBuilder("sleep", "600").start();
    Process other = new ProcessBuilder("sleep", "600").start();
    try {
      SandboxRow stray = row(1, SandboxRow.State.CREATING).at(SandboxRow.State.RUNNING, mine.pid());
      SandboxRow reused =
          new SandboxRow(
              SandboxId.of(7, 2),
              new Tag("demo"),
              7,
              EngineName.PROCESS,
              SandboxRow.State.RUNNING,
              other.pid(),
              stray.stamp() + "0",
              0,
              "",
              SandboxRow.Branches.NONE);
      assertThat(stray.stamp()).isNotEmpty();
      service.registry.journal(List.of(stray, reused));
      service.crash();
      service = ServiceFixture.open(dir);
      assertThat(mine.isAlive()).isFalse();
      assertThat(other.isAlive()).isTrue();
    } finally {
      mine.destroyForcibly();
      other.destroyForcibly();
    }
  }

  @Test
  void anOrderlyEndDestroysEverything() {
    service.fork("demo", 5);
    service.close();
    assertThat(service.engine.guests()).isEmpty();
    service = ServiceFixture.open(dir);
    assertThat(all()).isEmpty();
  }

  @Test
  void forksAndDestroysInParallelLeaveNothing() {
    IntStream.range(0, 40)
        .parallel()
        .forEach(i -> service.fork("demo", 3).forEach(info -> destroy(info.id())));
    assertThat(all()).isEmpty();
    assertThat(service.engine.guests()).isEmpty();
    assertThat(service.registry.sandboxes()).isEmpty();
    assertThat(demo().sandboxes()).isZero();
    assertThat(service.forkd.metricsText()).contains("forkd_forks_total 120\n");
  }
}
