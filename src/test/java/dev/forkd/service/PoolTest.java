package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.Request;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.Tag;
import dev.forkd.store.SandboxRow;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PoolTest {
  private static final String POOLED = ServiceFixture.RECIPE + "pool: 4\n";

  @TempDir Path dir;
  private ServiceFixture service;

  @BeforeEach
  void open() {
    service = ServiceFixture.open(dir);
    service.create("demo", POOLED, false);
    awaitParked(4);
  }

  @AfterEach
  void close() {
    service.close();
    assertThat(service.engine.guests()).isEmpty();
  }

  private void awaitParked(int n) {
    await().until(() -> metrics().contains("forkd_sandboxes_parked " + n + "\n"));
  }

  private String metrics() {
    return service.forkd.metricsText();
  }

  private List<SandboxInfo> list() {
    return service.forkd.handle(new Request.ListSandboxes(SandboxFilter.RUNNING));
  }

  @Test
  void parkedChildrenAreJournaledButNotListed() {
    assertThat(list()).isEmpty();
    assertThat(service.registry.sandboxes())
        .hasSize(4)
        .allSatisfy(row -> assertThat(row.state()).isEqualTo(SandboxRow.State.PARKED));
    assertThat(metrics()).contains("forkd_sandboxes_active 0\n");
  }

  @Test
  void aBatchTakesParkedOnesFirstAndForksTheRest() {
    List<FakeGuest> parked = service.engine.guests();
    List<SandboxInfo> six = service.fork("demo", 6);
    assertThat(six).hasSize(6).doesNotHaveDuplicates();
    assertThat(six)
        .extracting(SandboxInfo::id)
        .containsAll(parked.stream().map(FakeGuest::id).toList());
    awaitParked(4);
    assertThat(list()).hasSize(6);
    assertThat(service.engine.guests()).hasSize(10);
  }

  @Test
  void otherLimitsAreForked() {
    List<FakeGuest> parked = service.engine.guests();
    List<SandboxInfo> two =
        service.forkd.handle(new Request.Fork(new Tag("demo"), 2, OptionalLong.of(64)));
    assertThat(two)
        .extracting(SandboxInfo::id)
        .doesNotContainAnyElementsOf(parked.stream().map(FakeGuest::id).toList());
    awaitParked(4);
  }

  @Test
  void theDeafAndTheDeadAreNotHandedOut() {
    List<FakeGuest> parked = service.engine.guests();
    parked.get(0).goDeaf();
    parked.get(1).endRuntime();
    List<SandboxInfo> four = service.fork("demo", 4);
    assertThat(four)
        .extracting(SandboxInfo::id)
        .doesNotContain(parked.get(0).id(), parked.get(1).id());
    assertThat(parked.get(0).closed()).isTrue();
    assertThat(parked.get(1).closed()).isTrue();
    awaitParked(4);
    assertThat(service.registry.sandboxes()).hasSize(8);
  }

  @Test
  void oneThatEndsWhileParkedIsDropped() {
    FakeGuest first = service.engine.guests().getFirst();
    first.end("killed");
    awaitParked(3);
    await().until(first::closed);
    await().until(() -> service.registry.sandboxes().size() == 3);
    assertThat(list()).isEmpty();
  }

  @Test
  void aPoolThatCannotBeFilledWaitsForTheNextFork() {
    service.engine.failChildren(index -> true);
    assertThat(service.fork("demo", 3)).hasSize(3);
    awaitParked(1);
    int plans = service.engine.lastTemplate().forkPlans().size();
    assertThat(service.fork("demo", 1)).hasSize(1);
    await().until(() -> service.engine.lastTemplate().forkPlans().size() > plans);
    service.engine.failChildren(index -> false);
    service.fork("demo", 1);
    awaitParked(4);
  }

  @Test
  void parkedChildrenDoNotKeepASnapshot() {
    service.forkd.handle(new Request.DeleteSnapshot(new Tag("demo"), false, false));
    assertThat(service.engine.guests()).isEmpty();
    assertThat(service.registry.sandboxes()).isEmpty();
  }

  @Test
  void aFailedBatchEndsThePooledOnesToo() {
    service.engine.failChildren(index -> true);
    assertThat(org.assertj.core.api.Assertions.catchThrowable(() -> service.fork("demo", 5)))
        .hasMessageContaining("fork of demo failed");
    assertThat(list()).isEmpty();
    // The refill that follows fails as well, and strikes out what it had journaled.
    await().until(() -> service.registry.sandboxes().isEmpty());
    assertThat(service.engine.guests()).isEmpty();
  }
}
