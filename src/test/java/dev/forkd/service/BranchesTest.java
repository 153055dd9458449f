package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Request;
import dev.forkd.model.Request.BranchFlags;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SnapshotDetail;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class BranchesTest {
  private static final Failure BROKEN = new Failure(FailureKind.ENGINE, "the disk is on fire", "");

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

  private void restart() {
    service.close();
    service = ServiceFixture.open(dir);
  }

  private static void start(Runnable task) {
    Thread.ofVirtual().start(task);
  }

  private SandboxInfo sandbox(String tag) {
    return service.fork(tag, 1).getFirst();
  }

  private Request.Branch request(SandboxId id, String tag, BranchMode mode, boolean await) {
    return new Request.Branch(
        id,
        Optional.of(new Tag(tag)),
        Optional.of(mode),
        BranchFlags.NONE,
        await,
        Optional.empty());
  }

  private SnapshotInfo branch(SandboxInfo from, String tag, BranchMode mode) {
    return service.forkd.handle(request(from.id(), tag, mode, true));
  }

  private SnapshotInfo info(String tag) {
    return service.forkd.handle(new Request.GetSnapshot(new Tag(tag)));
  }

  private SnapshotDetail detail(String tag) {
    return service.forkd.handle(new Request.DescribeSnapshot(new Tag(tag)));
  }

  private SandboxInfo look(SandboxInfo sandbox) {
    return service.forkd.handle(new Request.GetSandbox(sandbox.id()));
  }

  private void delete(String tag, boolean cascade, boolean force) {
    service.forkd.handle(new Request.DeleteSnapshot(new Tag(tag), cascade, force));
  }

  private List<Path> onDisk() throws IOException {
    try (Stream<Path> entries = Files.list(service.state.snapshots())) {
      return entries.map(Path::getFileName).sorted().toList();
    }
  }

  @Test
  void aBranchIsForkedAndTheSandboxTellsThatItHasBranched() {
    SandboxInfo source = sandbox("demo");
    service.engine.branching().warn("a socket was left out");
    SnapshotInfo info = branch(source, "ck", BranchMode.FULL);
    assertThat(info.status()).isEqualTo(SnapshotStatus.READY);
    assertThat(info.branchedFrom()).contains(source.id().text());
    assertThat(info.pauseMs()).hasValue(12);
    assertThat(info.warning()).contains("a socket was left out");
    assertThat(info.parentTag()).isEmpty();
    assertThat(info.diff()).isEmpty();
    assertThat(look(source).branches()).isEqualTo(1);
    assertThat(look(source).lastBranch()).contains(info.dir().toString());
    assertThat(info.dir().resolve("pages.bin")).exists();
    SandboxInfo grandchild = sandbox("ck");
    assertThat(grandchild.tag()).isEqualTo(new Tag("ck"));
    branch(grandchild, "ck2", BranchMode.DIFF);
    assertThat(service.fork("ck2", 3)).hasSize(3);
    assertThat(detail("ck2").ancestors()).containsExactly(new Tag("ck"));
  }

  @Test
  void aDiffNeedsItsParentAndKeepsItsTemplate() {
    SandboxInfo source = sandbox("demo");
    SnapshotInfo info = branch(source, "d", BranchMode.DIFF);
    assertThat(info.parentTag()).contains("demo");
    assertThat(info.diff()).contains(new SnapshotInfo.Diff(30, 4096, 1 << 20));
    assertThat(detail("demo").dependents()).containsExactly(new Tag("d"));
    service.forkd.handle(new Request.Destroy(source.id()));
    assertFails(FailureKind.CONFLICT, "[d]", () -> delete("demo", false, false));
    FakeEngine.FakeTemplate parent = service.engine.templates().getFirst();
    delete("demo", false, true);
    assertThat(parent.closed()).isFalse();
    assertThat(service.fork("d", 1)).hasSize(1);
    delete("d", true, false);
    assertThat(parent.closed()).isTrue();
    assertThat(service.images.removed).isNotEmpty();
  }

  @Test
  void aFullBranchOutlivesWhatItWasBranchedFrom() {
    branch(sandbox("demo"), "whole", BranchMode.FULL);
    delete("demo", true, false);
    assertThat(service.engine.templates().getFirst().closed()).isTrue();
    assertThat(service.images.removed).isEmpty();
    assertThat(service.fork("whole", 2)).hasSize(2);
  }

  @Test
  void whatLivesInMemoryKeepsWhatWasWarmedAndNotWhatLiesBetween() {
    service.engine.branching().inMemory();
    branch(sandbox("demo"), "a", BranchMode.FULL);
    branch(sandbox("a"), "b", BranchMode.FULL);
    delete("a", true, false);
    delete("demo", true, false);
    List<FakeEngine.FakeTemplate> templates = service.engine.templates();
    assertThat(templates)
        .extracting(FakeEngine.FakeTemplate::closed)
        .containsExactly(false, true, false);
    assertThat(service.fork("b", 1)).hasSize(1);
    delete("b", true, false);
    assertThat(templates).allMatch(FakeEngine.FakeTemplate::closed);
  }

  @Test
  void whatIsDurableIsRestoredByTheNextForkWithItsChain() {
    SandboxInfo source = sandbox("demo");
    branch(source, "d", BranchMode.DIFF);
    branch(sandbox("d"), "e", BranchMode.DIFF);
    restart();
    assertThat(info("e").bootable()).isTrue();
    assertThat(info("e").warm()).isFalse();
    assertThat(service.fork("e", 2)).hasSize(2);
    assertThat(service.engine.branching().restored()).hasSize(1);
    assertThat(service.engine.branching().restored().getFirst().chain())
        .extracting(path -> path.getFileName().toString())
        .containsExactly("demo", "d", "e");
    assertThat(service.engine.warmUps()).isZero();
    assertThat(info("e").pauseMs()).hasValue(12);
  }

  @Test
  void whatLivedInMemoryHasFailedAfterARestart() {
    service.engine.branching().inMemory();
    branch(sandbox("demo"), "m", BranchMode.FULL);
    restart();
    assertThat(info("m").status()).isEqualTo(SnapshotStatus.FAILED);
    assertThat(info("m").warning().orElseThrow()).contains("memory of a daemon that has ended");
    assertFails(FailureKind.CONFLICT, "not bootable", () -> sandbox("m"));
    branch(sandbox("demo"), "m", BranchMode.FULL); // the tag can be used again
    assertThat(info("m").bootable()).isTrue();
  }

  @Test
  void whatLivesInMemoryFailsWithItsTemplate() {
    service.engine.branching().inMemory();
    branch(sandbox("demo"), "m", BranchMode.FULL);
    service.engine.lastTemplate().end("killed by signal 9");
    await().until(() -> info("m").status() == SnapshotStatus.FAILED);
    assertThat(info("m").warning().orElseThrow()).contains("signal 9");
  }

  @Test
  void aFailedBranchLeavesNothing() throws IOException {
    SandboxInfo source = sandbox("demo");
    List<Path> before = onDisk();
    service.engine.branching().fail(BROKEN);
    assertFails(FailureKind.ENGINE, "on fire", () -> branch(source, "x", BranchMode.FULL));
    service.engine.branching().heal();
    service.engine.branching().failCopies(BROKEN);
    assertFails(FailureKind.ENGINE, "on fire", () -> branch(source, "x", BranchMode.DIFF));
    assertThat(onDisk()).isEqualTo(before);
    assertFails(FailureKind.NOT_FOUND, "x", () -> info("x"));
    assertThat(look(source).branches()).isZero();
    service.engine.branching().heal();
    branch(source, "x", BranchMode.FULL);
    assertThat(onDisk()).hasSize(before.size() + 1);
  }

  @Test
  void aLiveBranchIsWrittenWhileTheAnswerIsThereAlready() {
    SandboxInfo source = sandbox("demo");
    CountDownLatch gate = service.engine.branching().hold();
    SnapshotInfo info = service.forkd.handle(request(source.id(), "live", BranchMode.LIVE, false));
    assertThat(info.status()).isEqualTo(SnapshotStatus.WRITING);
    assertThat(info.bootable()).isFalse();
    assertThat(info.pauseMs()).hasValue(12);
    assertFails(FailureKind.CONFLICT, "status=Writing", () -> sandbox("live"));
    assertFails(FailureKind.CONFLICT, "being written", () -> delete("live", false, true));
    assertThat(service.forkd.metricsText()).contains("forkd_branches_in_flight 1\n");
    assertFails(
        FailureKind.CONFLICT,
        "branch for tag 'live' is already in progress",
        () -> branch(sandbox("demo"), "live", BranchMode.FULL));
    assertFails(
        FailureKind.CONFLICT,
        "being branched by another",
        () -> branch(source, "other", BranchMode.FULL));
    gate.countDown();
    await().until(() -> info("live").bootable());
    assertThat(service.fork("live", 1)).hasSize(1);
    await().until(() -> service.forkd.metricsText().contains("forkd_branches_in_flight 0\n"));
  }

  @Test
  void aLiveBranchThatFailsLaterSaysSo() {
    CountDownLatch gate = service.engine.branching().hold();
    service.engine.branching().failCopies(BROKEN);
    SandboxInfo source = sandbox("demo");
    service.forkd.handle(request(source.id(), "live", BranchMode.LIVE, false));
    gate.countDown();
    await().until(() -> info("live").status() == SnapshotStatus.FAILED);
    assertThat(info("live").warning()).contains("the disk is on fire");
    service.engine.branching().heal();
    await().until(() -> branch(source, "live", BranchMode.FULL).bootable());
  }

  @Test
  void noMoreBranchesAtOnceThanTheCap() {
    CountDownLatch gate = service.engine.branching().hold();
    List<CompletableFuture<SnapshotInfo>> running =
        Stream.of("a", "b")
            .map(tag -> {
              SandboxInfo source = sandbox("demo");
              return CompletableFuture.supplyAsync(
                  () -> branch(source, tag, BranchMode.FULL), BranchesTest::start);
            })
            .toList();
    await().until(() -> service.engine.branching().plans().size() == 2);
    assertFails(
        FailureKind.EXHAUSTED,
        "daemon is at its branch concurrency cap (2); retry shortly",
        () -> branch(sandbox("demo"), "c", BranchMode.FULL));
    gate.countDown();
    running.forEach(CompletableFuture::join);
    assertThat(branch(sandbox("demo"), "c", BranchMode.FULL).bootable()).isTrue();
  }

  @Test
  void measuringTakesADiffThatIsThrownAway() throws IOException {
    SandboxInfo source = sandbox("demo");
    SnapshotInfo info =
        service.forkd.handle(
            new Request.Branch(
                source.id(),
                Optional.of(new Tag("m")),
                Optional.empty(),
                new BranchFlags(false, false, true),
                true,
                Optional.empty()));
    assertThat(info.diff()).contains(new SnapshotInfo.Diff(30, 4096, 1 << 20));
    assertThat(info.parentTag()).isEmpty();
    assertThat(detail("m").memoryPhysicalBytes()).isEqualTo(65_536);
    assertThat(service.engine.lastTemplate().closed()).isTrue();
    assertThat(onDisk()).extracting(Path::toString).containsExactly("demo", "m");
  }

  @Test
  void aTagIsMadeUp() {
    SandboxInfo source = sandbox("demo");
    SnapshotInfo info =
        service.forkd.handle(
            new Request.Branch(
                source.id(),
                Optional.empty(),
                Optional.empty(),
                BranchFlags.NONE,
                true,
                Optional.empty()));
    assertThat(info.tag().text()).matches("branch-" + source.id() + "-[0-9]+-[0-9a-f]{4}");
  }

  @Test
  void chainsEndAtDepth32AndCompactingBeginsANewOne() {
    String parent = "demo";
    for (int depth = 1; depth <= Kin.MAX_DEPTH; depth++) {
      branch(sandbox(parent), "c" + depth, BranchMode.DIFF);
      parent = "c" + depth;
    }
    String last = parent;
    assertThat(detail(last).ancestors()).hasSize(32).startsWith(new Tag("demo"));
    assertFails(
        FailureKind.CONFLICT, "compact", () -> branch(sandbox(last), "more", BranchMode.DIFF));
    int guests = service.engine.guests().size();
    SnapshotInfo flat = service.forkd.handle(new Request.Compact(new Tag(last), new Tag("flat")));
    assertThat(flat.branchedFrom()).contains("compact:" + last);
    assertThat(flat.parentTag()).isEmpty();
    assertThat(service.engine.guests()).hasSize(guests);
    assertThat(branch(sandbox("flat"), "more", BranchMode.DIFF).bootable()).isTrue();
  }

  @Test
  void compactChecksItsNames() {
    branch(sandbox("demo"), "d", BranchMode.DIFF);
    assertFails(FailureKind.INVALID, "into itself", () -> compact("d", "d"));
    assertFails(FailureKind.CONFLICT, "already exists", () -> compact("d", "demo"));
    assertFails(FailureKind.NOT_FOUND, "nope", () -> compact("nope", "x"));
  }

  private SnapshotInfo compact(String from, String to) {
    return service.forkd.handle(new Request.Compact(new Tag(from), new Tag(to)));
  }

  @Test
  void lostFilesAndParentsAreToldByName() throws IOException {
    branch(sandbox("demo"), "d", BranchMode.DIFF);
    branch(sandbox("d"), "e", BranchMode.DIFF);
    Files.writeString(info("e").dir().resolve("pages.bin"), "short");
    assertThat(info("e").bootable()).isFalse();
    assertThat(info("e").warning().orElseThrow()).contains("missing memory artifact", "pages.bin");
    restart();
    delete("demo", false, true);
    assertThat(info("d").warning().orElseThrow()).contains("missing parent snapshot demo");
    service.create("demo");
    assertThat(info("d").warning().orElseThrow()).contains("another snapshot has that name");
    assertFails(FailureKind.CONFLICT, "not bootable", () -> sandbox("d"));
  }

  @Test
  void bootablePythonSnapshotsComeFirst() {
    service.engine.branching().inMemory();
    branch(sandbox("demo"), "aaa", BranchMode.FULL);
    restart();
    List<SnapshotInfo> list = service.forkd.handle(new Request.ListSnapshots());
    assertThat(list).extracting(info -> info.tag().text()).containsExactly("demo", "aaa");
  }

  @Test
  void theDaemonThatStopsEndsBranchesUnderWay() {
    SandboxInfo source = sandbox("demo");
    CountDownLatch gate = service.engine.branching().hold();
    service.forkd.handle(request(source.id(), "live", BranchMode.LIVE, false));
    CompletableFuture<Void> closing =
        CompletableFuture.runAsync(service.forkd::close, BranchesTest::start);
    await().until(() -> service.guests() == 0);
    gate.countDown();
    closing.join();
    assertThat(service.engine.templates()).allMatch(FakeEngine.FakeTemplate::closed);
  }

  @Test
  void aCrashWhileWritingLeavesAFailedSnapshotWhoseTagIsFree() throws IOException {
    SandboxInfo source = sandbox("demo");
    CountDownLatch gate = service.engine.branching().hold();
    service.forkd.handle(request(source.id(), "live", BranchMode.LIVE, false));
    service.crash();
    service = ServiceFixture.open(dir);
    gate.countDown();
    assertThat(info("live").status()).isEqualTo(SnapshotStatus.FAILED);
    assertThat(onDisk()).noneMatch(path -> path.toString().startsWith("."));
    assertThat(branch(sandbox("demo"), "live", BranchMode.FULL).bootable()).isTrue();
  }
}
