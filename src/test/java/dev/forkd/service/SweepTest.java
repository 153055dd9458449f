package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What nobody needs goes from the disk while the daemon runs, and nothing else does. */
class SweepTest {
  private static final Duration OFTEN = Duration.ofMillis(20);
  private static final String OTHER = ServiceFixture.RECIPE.replace("host", "{dir: /}");

  @TempDir Path dir;

  private ServiceFixture service;

  @BeforeEach
  void open() {
    service = ServiceFixture.sweeping(dir, OFTEN);
  }

  @AfterEach
  void close() {
    service.close();
  }

  @Test
  void whatWasLeftIsTakenAgainAndAgainAndCounted() throws IOException {
    for (int i = 1; i <= 2; i++) {
      Path left = Files.createDirectory(service.state.snapshots().resolve(".staging-x-" + i));
      await().until(() -> !Files.exists(left));
      String line = "forkd_swept_total{what=\"files\"} " + i;
      await().untilAsserted(() -> assertThat(service.forkd.metricsText()).contains(line));
    }
  }

  @Test
  void imagesOfSnapshotsAreKept() {
    SnapshotInfo made = service.create("demo");
    await().until(() -> !service.images.retained.isEmpty());
    assertThat(service.images.retained).allMatch(Set.of(made.imageDigest())::equals);
    await()
        .untilAsserted(() ->
            assertThat(service.forkd.metricsText()).contains("forkd_swept_total{what=\"images\"}"));
  }

  @Test
  void nothingIsRemovedWhileAnImageIsPrepared() throws Exception {
    service.create("old");
    CountDownLatch gate = service.engine.holdWarmUps();
    CompletableFuture<SnapshotInfo> making =
        CompletableFuture.supplyAsync(() -> service.create("new", OTHER, false));
    await().until(() -> service.engine.warmUps() == 2);
    int sweeps = service.images.retained.size();
    service.forkd.handle(new Request.DeleteSnapshot(new Tag("old"), false, false));
    TimeUnit.MILLISECONDS.sleep(4 * OFTEN.toMillis()); // that nothing comes is what is looked at
    assertThat(service.images.retained.size() - sweeps).isLessThanOrEqualTo(1);
    assertThat(service.images.removed).isEmpty();
    gate.countDown();
    SnapshotInfo made = making.get(10, TimeUnit.SECONDS);
    await().until(() -> service.images.removed.size() == 1);
    assertThat(service.images.removed).doesNotContain(made.imageDigest());
  }

  @Test
  void anImageOfADeletedSnapshotIsKeptForItsSandboxes() {
    SnapshotInfo made = service.create("demo");
    service.create("other", OTHER, false);
    SandboxId sandbox = service.fork("demo", 1).getFirst().id();
    service.forkd.handle(new Request.DeleteSnapshot(new Tag("demo"), false, true));
    service.images.retained.clear();
    await().until(() -> service.images.retained.size() > 1);
    assertThat(service.images.retained).allMatch(kept -> kept.contains(made.imageDigest()));
    service.forkd.handle(new Request.Destroy(sandbox));
    assertThat(service.images.removed).containsExactly(made.imageDigest());
  }
}
