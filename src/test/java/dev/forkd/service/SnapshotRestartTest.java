package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.Event;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Request;
import dev.forkd.model.RootImage;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SnapshotRow;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the next daemon makes of the snapshots that it finds. */
final class SnapshotRestartTest {
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
  void imagesThatNoSnapshotNeedsAreRemoved() {
    assertThat(service.images.retained).isEmpty();
    service.create("base");
    service.close();
    service = ServiceFixture.open(dir);
    String needed = service.registry.snapshots().getFirst().imageDigest();
    assertThat(service.images.retained).containsExactly(Set.of(needed));
  }

  @Test
  void whatDerivesFromASnapshotKeepsIt() {
    service.create("base");
    service.close();
    service = ServiceFixture.open(dir);
    SnapshotRow base = service.registry.snapshots().getFirst();
    service.registry.put(derived(base, "mid", "base"), new Event(0, "x", "", ""));
    service.registry.put(derived(base, "leaf", "mid"), new Event(0, "x", "", ""));
    service.close();
    service = ServiceFixture.open(dir);
    assertFails(FailureKind.CONFLICT, "[mid]", () -> delete("base", false, false));
    delete("base", true, false);
    assertThat(list()).isEmpty();
  }

  private static SnapshotRow derived(SnapshotRow row, String tag, String parent) {
    return new SnapshotRow(
        new Tag(tag),
        row.dir(),
        row.createdAtUnix(),
        row.status(),
        row.recipe(),
        row.recipeName(),
        row.warmScript(),
        row.baseDir(),
        row.engine(),
        row.imageDigest(),
        row.warmMs(),
        row.report(),
        "",
        new Origin(
            "sb-1",
            parent,
            "",
            OptionalLong.of(3),
            new Origin.Memory(1, 2),
            Optional.empty(),
            true),
        row.marks());
  }

  @Test
  void afterARestartASnapshotIsColdAndTheFirstForkWarmsItOnce() {
    service.create("demo");
    service.close();
    service = ServiceFixture.open(dir);
    assertThat(info("demo").warm()).isFalse();
    assertThat(info("demo").bootable()).isTrue();
    CountDownLatch gate = service.engine.holdWarmUps();
    List<CompletableFuture<Integer>> forks =
        IntStream.range(0, 5)
            .mapToObj(i -> CompletableFuture.supplyAsync(() -> service.fork("demo", 2).size()))
            .toList();
    await().until(() -> service.engine.warmUps() == 1);
    gate.countDown();
    assertThat(forks).allSatisfy(fork -> assertThat(fork.join()).isEqualTo(2));
    assertThat(service.engine.warmUps()).isEqualTo(1);
    assertThat(info("demo").warm()).isTrue();
    assertThat(info("demo").sandboxes()).isEqualTo(10);
  }

  @Test
  void aFailedSecondWarmUpFailsTheForkAndMayBeTriedAgain() {
    service.create("demo");
    service.close();
    service = ServiceFixture.open(dir);
    service.engine.failWarmUps(BROKEN);
    assertFails(FailureKind.ENGINE, "nope", () -> service.fork("demo", 1));
    assertThat(info("demo").bootable()).isTrue();
    service.engine.healWarmUps();
    assertThat(service.fork("demo", 1)).hasSize(1);
  }

  private void restart() {
    service.close();
    service = ServiceFixture.open(dir);
  }

  private RootImage image() {
    return service.engine.lastTemplate().plan().image();
  }

  @Test
  void theStoredImageIsUsedWhateverBecameOfWhatItWasMadeFrom() {
    SnapshotInfo made = service.create("demo");
    restart();
    service.images.changeSources();
    service.fork("demo", 1);
    assertThat(service.images.prepared).hasValue(0);
    assertThat(image().digest()).isEqualTo(made.imageDigest());
    assertThat(info("demo").imageDigest()).isEqualTo(made.imageDigest());
  }

  @Test
  void theScriptFileIsReadOnce() throws IOException {
    Path file = Files.writeString(dir.resolve("warm.py"), "x = 1\n");
    service.create("demo", ServiceFixture.RECIPE + "  script_file: " + file + "\n", false);
    Files.writeString(file, "x = 2\n");
    service.engine.lastTemplate().end("killed");
    await().until(() -> !info("demo").warm());
    service.fork("demo", 1);
    assertThat(script()).isEqualTo("x = 1\n");
    restart();
    Files.delete(file);
    service.fork("demo", 1);
    assertThat(script()).isEqualTo("x = 1\n");
  }

  private String script() {
    return service.engine.lastTemplate().plan().warm().script();
  }

  @Test
  void aScriptThatAnOlderDaemonDidNotKeepIsReadAgain() throws IOException {
    Path file = Files.writeString(dir.resolve("warm.py"), "x = 1\n");
    service.create("demo", ServiceFixture.RECIPE + "  script_file: " + file + "\n", false);
    SnapshotRow row = service.registry.snapshots().getFirst();
    service.registry.put(withoutScript(row), new Event(0, "x", "", ""));
    restart();
    Files.writeString(file, "x = 2\n");
    service.fork("demo", 1);
    assertThat(script()).isEqualTo("x = 2\n");
  }

  private static SnapshotRow withoutScript(SnapshotRow row) {
    return new SnapshotRow(
        row.tag(),
        row.dir(),
        row.createdAtUnix(),
        row.status(),
        row.recipe(),
        row.recipeName(),
        Optional.empty(),
        row.baseDir(),
        row.engine(),
        row.imageDigest(),
        row.warmMs(),
        row.report(),
        row.warning(),
        row.origin(),
        row.marks());
  }

  @Test
  void aLostImageIsMadeAgainWhenTheSameComesOut() {
    SnapshotInfo made = service.create("demo");
    restart();
    service.images.lose();
    service.fork("demo", 1);
    assertThat(service.images.prepared).hasValue(1);
    assertThat(image().digest()).isEqualTo(made.imageDigest());
  }

  @Test
  void aLostImageThatComesOutDifferentFailsTheSnapshot() {
    SnapshotInfo made = service.create("demo");
    restart();
    service.images.lose();
    service.images.changeSources();
    for (int i = 0; i < 2; i++) {
      assertFails(
          FailureKind.CONFLICT,
          "status=Failed; its image " + made.imageDigest() + " is gone",
          () -> service.fork("demo", 1));
    }
    assertThat(service.images.prepared).hasValue(1);
    assertThat(service.images.removed).hasSize(1).doesNotContain(made.imageDigest());
    assertThat(service.engine.warmUps()).isZero();
    assertThat(service.registry.events(1))
        .extracting(Event::kind)
        .containsExactly("snapshot.failed");
    restart();
    assertThat(info("demo").status()).isEqualTo(SnapshotStatus.FAILED);
    assertThat(info("demo").warning().orElseThrow()).contains("create the snapshot again");
    assertThat(service.create("demo").bootable()).isTrue();
  }

  @Test
  void aLostImageThatCannotBeMadeNowMayBeMadeLater() {
    service.create("demo");
    restart();
    service.images.lose();
    service.images.failBuilds(new Failure(FailureKind.INVALID, "files: /x does not exist"));
    assertFails(
        FailureKind.CONFLICT, "cannot be made again: files: /x", () -> service.fork("demo", 1));
    service.images.failBuilds(new Failure(FailureKind.EXHAUSTED, "disk full", "df"));
    assertFails(FailureKind.EXHAUSTED, "disk full", () -> service.fork("demo", 1));
    assertThat(info("demo").bootable()).isTrue();
  }

  @Test
  void whatWasBeingWrittenWhenTheDaemonDiedHasFailed() {
    CountDownLatch gate = service.engine.holdWarmUps();
    CompletableFuture<?> making = CompletableFuture.runAsync(() -> service.create("demo"));
    await().until(() -> service.engine.warmUps() == 1);
    service.crash();
    ServiceFixture dead = service;
    service = ServiceFixture.open(dir);
    SnapshotInfo info = info("demo");
    assertThat(info.status()).isEqualTo(SnapshotStatus.FAILED);
    assertThat(info.warning().orElseThrow()).contains("daemon ended");
    assertFails(
        FailureKind.CONFLICT, "is not bootable: status=Failed", () -> service.fork("demo", 1));
    assertThat(service.create("demo").bootable()).isTrue();
    gate.countDown();
    assertThatThrownBy(making::join).isNotNull();
    assertThat(dead.engine.lastTemplate().closed()).isTrue();
  }

  @Test
  void aDirectoryThatTheRegistryDoesNotKnowIsToldAndCanBeReplaced() throws IOException {
    service.create("demo");
    service.close();
    Files.delete(dir.resolve("state/forkd.db"));
    Files.createDirectory(dir.resolve("state/snapshots/other"));
    Files.createDirectory(dir.resolve("state/snapshots/not a tag"));
    service = ServiceFixture.open(dir);
    assertThat(list())
        .extracting(SnapshotInfo::tag)
        .extracting(Tag::text)
        .containsExactly("demo", "other");
    assertThat(list()).noneMatch(SnapshotInfo::bootable);
    assertFails(
        FailureKind.CONFLICT, "the registry does not know it", () -> service.fork("demo", 1));
    delete("other", false, false);
    assertThat(service.create("demo").bootable()).isTrue();
    assertThat(list()).hasSize(1);
  }
}
