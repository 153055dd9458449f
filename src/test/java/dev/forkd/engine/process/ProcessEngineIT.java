package dev.forkd.engine.process;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.contract.Bench;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Capabilities;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Tag;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What only this engine can get wrong: its launcher, sockets and cgroups. */
@Timeout(120)
class ProcessEngineIT {
  @TempDir Path dir;

  private ProcessEngine engine;

  @BeforeEach
  void make() {
    ProcessHost.requireIt();
    engine = new ProcessEngine(ProcessHost.paths(dir));
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    engine.close();
    assertThat(ProcessHost.holdings(dir)).contains("processes []", "cgroups []", "sockets []");
  }

  @Test
  void itTellsWhatTheHostCan() {
    Capabilities capabilities = engine.capabilities();
    assertThat(capabilities.isolation()).isEqualTo("process");
    assertThat(capabilities.facts()).containsKeys("kernel", "cgroup");
    assertThat(ProcessHost.launchers()).hasSize(1);
  }

  @Test
  void theLeakCheckSeesWhatASandboxHolds() throws Exception {
    Bench bench = ProcessHost.bench(engine);
    long before = ProcessHost.holdings(dir).length();
    String id = bench.fork().id().text();
    assertThat(ProcessHost.holdings(dir))
        .containsPattern("cgroups \\[/sys/fs/cgroup/[^]]*" + id)
        .contains(id + ".agent")
        .hasSizeGreaterThan((int) before);
    bench.close();
  }

  @Test
  void aBranchIsRefusedByNameAndToldWhatStays() {
    Bench bench = ProcessHost.bench(engine);
    Guest guest = bench.fork();
    BranchPlan plan = new BranchPlan(new Tag("branch"), dir, BranchMode.FULL, Bench.SOON);
    Bench.eval(guest, "import subprocess; p = subprocess.Popen(['sleep', '1013'])");
    Failure refused = failureOf(() -> guest.branch(plan));
    assertThat(refused.kind()).isEqualTo(FailureKind.CONFLICT);
    assertThat(refused.message()).contains("child_process: sleep", guest.id().text());
    Bench.eval(guest, "p.kill(); p.wait()");
    var program = guest.run(ProgramSpec.of(new Program.Exec(List.of("sleep", "1014")), Bench.SOON));
    Branch branch = guest.branch(plan);
    assertThat(branch.warning()).contains("process: sleep");
    Branch.Written written = branch.written().toCompletableFuture().join();
    assertThat(written.physicalBytes()).isBetween(4096L, 100L << 20);
    assertThat(written.durable()).isFalse();
    program.close();
    written.template().close();
    bench.close();
  }

  @Test
  void theDeathOfTheLauncherIsToldToAllAndHealedByTheNextWarmUp() throws Exception {
    Bench bench = ProcessHost.bench(engine);
    Guest guest = bench.fork();
    ProgramSpec sleep = ProgramSpec.of(new Program.Exec(List.of("sleep", "1009")), Duration.ZERO);
    var program = guest.run(sleep);
    ProcessHost.launchers().getFirst().destroyForcibly();
    String sentence = bench.template().ended().toCompletableFuture().get(10, TimeUnit.SECONDS);
    assertThat(sentence).startsWith("the launcher was killed by SIGKILL");
    assertThat(guest.ended().toCompletableFuture().get(10, TimeUnit.SECONDS)).isEqualTo(sentence);
    assertThat(failureOf(() -> program.next(Bench.SOON)).message()).isEqualTo(sentence);
    assertThat(failureOf(bench::fork).message()).isEqualTo(sentence);
    Awaitility.await()
        .atMost(Bench.SOON)
        .until(() -> !Files.exists(Path.of("/proc/" + guest.pid())));
    guest.close();
    bench.template().close();
    Template again = engine.warm(bench.plan(Bench.warmUp()), _ -> {});
    assertThat(Bench.eval(bench.fork(again, 1, Limits.DEFAULT).getFirst(), "1")).isEqualTo("1");
    again.close();
  }

  @Test
  void oneChildThatCannotBeMadeDoesNotHarmItsSiblings() throws Exception {
    Bench bench = ProcessHost.bench(engine);
    ForkPlan plan = bench.batch(5, Limits.DEFAULT);
    String unlucky = plan.children().get(2).id().text();
    // Nothing can be bound where something is.
    Path occupied = Files.createDirectory(dir.resolve("agents").resolve(unlucky + ".agent"));
    List<ForkOutcome> outcomes = bench.template().fork(plan);
    for (int i = 0; i < outcomes.size(); i++) {
      if (i == 2) {
        assertThat(outcomes.get(i))
            .isInstanceOfSatisfying(
                ForkOutcome.Failed.class,
                failed -> assertThat(failed.failure().message()).contains(unlucky));
      } else {
        assertThat(Bench.eval(bench.guest(outcomes.get(i)), "1")).isEqualTo("1");
      }
    }
    Files.delete(occupied);
    bench.close();
  }

  @Test
  void aRuntimeThatRunsOutOfMemoryIsToldWithItsLimit() {
    Bench bench = ProcessHost.bench(engine);
    Assumptions.assumeTrue(engine.capabilities().memoryLimit(), "no memory controller here");
    Limits limits = Limits.DEFAULT.withMemoryBytes(64 << 20);
    Guest guest = bench.fork(bench.template(), 1, limits).getFirst();
    // The runtime itself runs nobody's code, so the kernel has to be pointed at it.
    String hog =
        "echo 1000 > /proc/2/oom_score_adj; echo -0 > /proc/self/oom_score_adj;"
            + " exec python3 -c 'x = b\"x\" * 300_000_000'";
    Bench.run(guest, new Program.Exec(List.of("sh", "-c", hog)));
    Failure failure = failureOf(() -> guest.eval("1", Bench.SOON));
    assertThat(failure.message())
        .startsWith(
            "the runtime of sandbox " + guest.id() + " was killed: out of memory (limit 64 MiB)");
    bench.close();
  }

  @Test
  void theMemoryOfASandboxIsToldWhereItIsCounted() {
    Bench bench = ProcessHost.bench(engine);
    Assumptions.assumeTrue(engine.capabilities().memoryLimit(), "no memory controller here");
    Limits limits = Limits.DEFAULT.withMemoryBytes(256 << 20);
    Guest guest = bench.fork(bench.template(), 1, limits).getFirst();
    long before = guest.memoryUsed().orElseThrow();
    assertThat(before).isBetween(4096L, 64L << 20);
    Bench.eval(guest, "len(globals().setdefault('x', b'x' * 100_000_000))");
    assertThat(guest.memoryUsed().orElseThrow())
        .isBetween(before + 99_000_000, before + 200_000_000);
    assertThat(bench.fork().memoryUsed()).as("no limit, no group").isEmpty();
    guest.close();
    assertThat(guest.memoryUsed()).isEmpty();
    bench.close();
  }

  @Test
  void aPauseWhileASandboxEndsDoesNotCostTheTemplate() throws Exception {
    Bench bench = ProcessHost.bench(engine);
    Guest guest = bench.fork();
    long warden = ProcessHandle.of(guest.pid()).flatMap(ProcessHandle::parent).orElseThrow().pid();
    signal("STOP", warden);
    CompletableFuture<Void> closing = CompletableFuture.runAsync(guest::close);
    assertThat(closing).failsWithin(Duration.ofMillis(500));
    signal("CONT", warden);
    assertThat(closing).succeedsWithin(Bench.SOON);
    assertThat(Bench.eval(bench.fork(), "1")).isEqualTo("1");
    bench.close();
  }

  private static void signal(String name, long pid) throws Exception {
    new ProcessBuilder("kill", "-" + name, Long.toString(pid)).start().waitFor();
  }

  @Test
  void closingTheEngineEndsEverything() {
    Bench bench = ProcessHost.bench(engine);
    Guest guest = bench.fork();
    engine.close();
    assertThat(Path.of("/proc/" + guest.pid())).doesNotExist();
    assertThat(failureOf(() -> engine.warm(bench.plan(Bench.warmUp()), _ -> {})).message())
        .isEqualTo("the process engine is closed");
  }

  @Test
  void aMissingLauncherIsUnsupportedWithARemedy() {
    ProcessPaths real = ProcessHost.paths(dir);
    ProcessPaths paths =
        new ProcessPaths(dir.resolve("none"), real.runtimeDir(), real.socketDir(), "test");
    try (ProcessEngine broken = new ProcessEngine(paths)) {
      Failure failure = failureOf(broken::capabilities);
      assertThat(failure.kind()).isEqualTo(FailureKind.UNSUPPORTED);
      assertThat(failure.message()).contains("make build");
    }
  }

  @Test
  void aLauncherThatIsNoneIsAFailure() {
    ProcessPaths real = ProcessHost.paths(dir);
    ProcessPaths paths =
        new ProcessPaths(Path.of("/bin/false"), real.runtimeDir(), real.socketDir(), "test");
    try (ProcessEngine broken = new ProcessEngine(paths)) {
      assertThat(failureOf(broken::capabilities).message())
          .startsWith("the launcher ended with exit code 1");
    }
  }

  private static Failure failureOf(ThrowingCallable call) {
    ForkdException[] thrown = new ForkdException[1];
    org.assertj.core.api.Assertions.assertThatThrownBy(call)
        .isInstanceOfSatisfying(ForkdException.class, e -> thrown[0] = e);
    return thrown[0].failure();
  }
}
