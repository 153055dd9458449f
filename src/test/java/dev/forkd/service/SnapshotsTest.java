package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.EngineName;
import dev.forkd.model.Event;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SnapshotsTest {
  private static final Tag DEMO = new Tag("demo");
  private static final Failure BROKEN =
      new Failure(FailureKind.ENGINE, "warm-up: import nope failed", "Traceback");

  @TempDir Path dir;
  private ServiceFixture service;

  @BeforeEach
  void open() {
    service = ServiceFixture.open(dir);
  }

  @AfterEach
  void close() {
    service.close();
  }

  private SnapshotInfo info(String tag) {
    return service.forkd.handle(new Request.GetSnapshot(new Tag(tag)));
  }

  private List<SnapshotInfo> list() {
    return service.forkd.handle(new Request.ListSnapshots());
  }

  private void delete(String tag, boolean cascade, boolean force) {
    service.forkd.handle(new Request.DeleteSnapshot(new Tag(tag), cascade, force));
  }

  @Test
  void aRecipeBecomesAWarmSnapshot() {
    SnapshotInfo made = service.create("demo");
    assertThat(made).isEqualTo(info("demo"));
    assertThat(made.status()).isEqualTo(SnapshotStatus.READY);
    assertThat(made.bootable()).isTrue();
    assertThat(made.warm()).isTrue();
    assertThat(made.engine()).isEqualTo(EngineName.PROCESS);
    assertThat(made.recipe()).isEqualTo("demo");
    assertThat(made.report()).isEqualTo(FakeEngine.REPORT);
    assertThat(made.warmMs()).isPresent();
    assertThat(made.imageDigest()).isNotEmpty();
    assertThat(made.dir().resolve("snapshot.json")).content().contains("\"tag\":\"demo\"");
    assertThat(service.engine.lastTemplate().plan().warm().imports()).containsExactly("json");
    assertThat(service.registry.events(10))
        .extracting(Event::kind)
        .containsExactly("snapshot.ready", "snapshot.writing");
  }

  @Test
  void theTagIsTheRecipesNameUnlessGiven() {
    SnapshotInfo made =
        service.forkd.handle(
            new Request.CreateSnapshot(
                Optional.empty(),
                ServiceFixture.RECIPE,
                Path.of("/"),
                Optional.of(EngineName.PROCESS),
                false,
                SnapshotMarks.NONE));
    assertThat(made.tag()).isEqualTo(DEMO);
  }

  @Test
  void theListIsOrderedByTag() {
    service.create("b");
    service.create("a");
    service.create("C");
    assertThat(list()).extracting(info -> info.tag().text()).containsExactly("C", "a", "b");
  }

  @Test
  void progressIsTold() {
    List<String> heard = new ArrayList<>();
    service.forkd.create(
        new Request.CreateSnapshot(
            Optional.empty(),
            ServiceFixture.RECIPE,
            Path.of("/"),
            Optional.empty(),
            false,
            SnapshotMarks.NONE),
        new CreationListener() {
          @Override
          public void progress(Phase phase, String message) {
            heard.add(phase.word());
          }

          @Override
          public void log(String line) {
            heard.add(line);
          }
        });
    assertThat(heard)
        .containsExactly("image", "image", "a line of the image build", "warm", "import json 1 ms");
  }

  @Test
  void aTakenTagIsRefused() {
    service.create("demo");
    assertFails(FailureKind.CONFLICT, "already exists", () -> service.create("demo"));
    assertThat(service.engine.warmUps()).isEqualTo(1);
  }

  @Test
  void aBadRecipeReservesNothing() {
    assertFails(FailureKind.INVALID, "imprts", () -> service.create("demo", badRecipe(), false));
    assertThat(list()).isEmpty();
    assertThat(service.registry.events(1)).isEmpty();
  }

  private static String badRecipe() {
    return ServiceFixture.RECIPE.replace("imports", "imprts");
  }

  @Test
  void aFailedWarmUpLeavesNothing() {
    service.engine.failWarmUps(BROKEN);
    assertThatThrownBy(() -> service.create("demo"))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.failure()).isEqualTo(BROKEN));
    assertThat(list()).isEmpty();
    assertThat(service.registry.snapshots()).isEmpty();
    assertThat(service.state.snapshots()).isEmptyDirectory();
    service.engine.healWarmUps();
    assertThat(service.create("demo").bootable()).isTrue();
  }

  @Test
  void whileItIsWrittenItIsSeenButCannotBeForkedMadeOrDeleted() throws Exception {
    CountDownLatch gate = service.engine.holdWarmUps();
    CompletableFuture<SnapshotInfo> making =
        CompletableFuture.supplyAsync(() -> service.create("demo"));
    await().until(() -> service.engine.warmUps() == 1);
    assertThat(info("demo").status()).isEqualTo(SnapshotStatus.WRITING);
    assertThat(list()).extracting(SnapshotInfo::bootable).containsExactly(false);
    assertFails(FailureKind.CONFLICT, "status=Writing", () -> service.fork("demo", 1));
    assertFails(FailureKind.CONFLICT, "being written", () -> service.create("demo"));
    assertFails(FailureKind.CONFLICT, "being written", () -> delete("demo", false, false));
    gate.countDown();
    assertThat(making.get(10, TimeUnit.SECONDS).bootable()).isTrue();
  }

  @Test
  void replacingSwapsTheTemplate() {
    service.create("demo");
    var old = service.engine.lastTemplate();
    SnapshotInfo fresh =
        service.create("demo", ServiceFixture.RECIPE.replace("[json]", "[csv]"), true);
    assertThat(fresh.bootable()).isTrue();
    assertThat(old.closed()).isTrue();
    assertThat(service.engine.lastTemplate().plan().warm().imports()).containsExactly("csv");
    assertThat(list()).hasSize(1);
    assertThat(fresh.dir().resolve("snapshot.json")).content().contains("csv");
  }

  @Test
  void aFailedReplacementLeavesTheOldOne() {
    service.create("demo");
    service.engine.failWarmUps(BROKEN);
    assertFails(
        FailureKind.ENGINE,
        "nope",
        () -> service.create("demo", ServiceFixture.RECIPE.replace("json", "nope"), true));
    assertThat(info("demo").warm()).isTrue();
    assertThat(service.fork("demo", 1)).hasSize(1);
    assertThat(service.registry.snapshots()).hasSize(1);
  }

  @Test
  void whatSandboxesLiveFromIsNotReplacedOrDeleted() {
    service.create("demo");
    SandboxInfo sandbox = service.fork("demo", 1).getFirst();
    assertThat(info("demo").sandboxes()).isEqualTo(1);
    assertFails(FailureKind.CONFLICT, "1 sandbox", () -> service.create("demo", recipe(), true));
    assertFails(FailureKind.CONFLICT, "cascade", () -> delete("demo", false, false));
    service.forkd.handle(new Request.Destroy(sandbox.id()));
    assertThat(info("demo").sandboxes()).isZero();
    delete("demo", false, false);
    assertThat(service.engine.lastTemplate().closed()).isTrue();
  }

  private static String recipe() {
    return ServiceFixture.RECIPE;
  }

  @Test
  void deletingLeavesNothing() {
    service.create("demo");
    delete("demo", false, false);
    assertFails(FailureKind.NOT_FOUND, "snapshot demo not found", () -> info("demo"));
    assertFails(
        FailureKind.NOT_FOUND, "snapshot demo not found", () -> delete("demo", false, false));
    assertThat(service.registry.snapshots()).isEmpty();
    assertThat(service.state.snapshots()).isEmptyDirectory();
    assertThat(service.images.removed).hasSize(1);
    assertThat(service.create("demo").bootable()).isTrue();
  }

  @Test
  void anImageIsKeptWhileAnotherSnapshotNeedsIt() {
    service.create("a");
    service.create("b");
    delete("a", false, false);
    assertThat(service.images.removed).isEmpty();
    delete("b", false, false);
    assertThat(service.images.removed).hasSize(1);
  }

  @Test
  void cascadeEndsTheSandboxes() {
    service.create("demo");
    service.fork("demo", 3);
    delete("demo", true, false);
    assertThat(service.engine.guests()).isEmpty();
    assertThat(service.registry.sandboxes()).isEmpty();
    assertThat(list()).isEmpty();
  }

  @Test
  void forceLetsTheSandboxesLiveOnAndTheLastOneClosesTheTemplate() {
    service.create("demo");
    List<SandboxInfo> two = service.fork("demo", 2);
    var template = service.engine.lastTemplate();
    delete("demo", false, true);
    assertThat(list()).isEmpty();
    assertThat(template.closed()).isFalse();
    service.forkd.handle(new Request.Destroy(two.get(0).id()));
    assertThat(template.closed()).isFalse();
    assertThat(service.forkd.handle(new Request.Ping(two.get(1).id()))).isNotNull();
    service.forkd.handle(new Request.Destroy(two.get(1).id()));
    assertThat(template.closed()).isTrue();
  }

  @Test
  void cascadeAndForceExcludeEachOther() {
    service.create("demo");
    assertFails(FailureKind.INVALID, "exclude", () -> delete("demo", true, true));
  }

  @Test
  void aTemplateThatEndsIsWarmedAgainAndItsSandboxesLiveOn() {
    service.create("demo");
    SandboxInfo survivor = service.fork("demo", 1).getFirst();
    var first = service.engine.lastTemplate();
    first.end("the template was killed by SIGKILL");
    await().until(() -> !info("demo").warm());
    assertThat(first.closed()).isFalse();
    service.fork("demo", 1);
    assertThat(service.engine.templates()).hasSize(2);
    service.forkd.handle(new Request.Ping(survivor.id()));
    service.forkd.handle(new Request.Destroy(survivor.id()));
    assertThat(first.closed()).isTrue();
  }

  @Test
  void aSnapshotWhoseFilesAreGoneIsNotBootable() throws IOException {
    service.create("demo");
    Files.delete(info("demo").dir().resolve("snapshot.json"));
    assertThat(info("demo").bootable()).isFalse();
    assertThat(info("demo").warning().orElseThrow()).contains("snapshot.json");
    assertFails(
        FailureKind.CONFLICT, "snapshot `demo` is not bootable", () -> service.fork("demo", 1));
  }

  @Test
  void anEngineThatIsNotThereIsTold() {
    assertFails(
        FailureKind.UNSUPPORTED,
        "it has: process",
        () ->
            service.forkd.handle(
                new Request.CreateSnapshot(
                    Optional.empty(),
                    recipe(),
                    Path.of("/"),
                    Optional.of(EngineName.VM),
                    false,
                    SnapshotMarks.NONE)));
    assertThat(list()).isEmpty();
  }

  @Test
  void afterTheEndNothingIsTaken() {
    service.create("demo");
    service.forkd.close();
    assertFails(FailureKind.UNAVAILABLE, "stopping", () -> service.fork("demo", 1));
    assertFails(FailureKind.UNAVAILABLE, "stopping", () -> service.create("other"));
    assertThat(service.engine.closed()).isTrue();
    assertThat(service.engine.lastTemplate().closed()).isTrue();
  }
}
