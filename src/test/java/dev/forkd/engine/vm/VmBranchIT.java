package dev.forkd.engine.vm;

import static dev.forkd.contract.Bench.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.contract.Bench;
import dev.forkd.contract.Contract;
import dev.forkd.contract.Ran;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.CompactPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Template;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Snapshots of running machines, on real ones. */
@org.junit.jupiter.api.Tag("vm")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(300)
class VmBranchIT {
  private static final Duration LONG = Duration.ofSeconds(120);

  @TempDir static Path dir;
  private final List<Template> templates = new ArrayList<>();
  private Bench bench;
  private int tags;

  @BeforeAll
  void make() {
    VmHost.requireIt();
    bench = new Bench(new VmEngine(VmHost.paths(dir)), VmHost.image());
  }

  @AfterEach
  void closeOpened() {
    bench.closeOpened();
    templates.reversed().forEach(Template::close);
    templates.clear();
  }

  @AfterAll
  void unmake() {
    if (bench != null) {
      bench.close();
    }
  }

  private BranchPlan plan(BranchMode mode) throws IOException {
    Tag tag = new Tag("branch-" + ++tags);
    Path at = Files.createDirectory(dir.resolve(tag.text()));
    return new BranchPlan(tag, at, mode, LONG);
  }

  private Branch.Written branch(Guest guest, BranchMode mode) throws Exception {
    return written(guest.branch(plan(mode)));
  }

  private Branch.Written written(Branch branch) throws Exception {
    Branch.Written written =
        branch.written().toCompletableFuture().get(LONG.toSeconds(), TimeUnit.SECONDS);
    templates.add(written.template());
    return written;
  }

  private Guest child(Template template) {
    return bench.fork(template, 1, Limits.DEFAULT).getFirst();
  }

  @ParameterizedTest
  @EnumSource(BranchMode.class)
  void childrenGoOnFromTheSourcesState(BranchMode mode) throws Exception {
    Guest source = bench.fork();
    Bench.eval(source, "n = 41; big = bytearray(b'x' * 3_000_000)");
    Bench.sh(source, "echo disk > /root/file; echo tmp > /tmp/file");
    Branch.Written written = branch(source, mode);
    Bench.eval(source, "n = 1000");
    Bench.sh(source, "echo later > /root/file");

    List<Guest> children = bench.fork(written.template(), 2, Limits.DEFAULT);
    for (Guest child : children) {
      assertThat(Bench.eval(child, "n + 1, len(big), big[-1]")).isEqualTo("(42, 3000000, 120)");
      assertThat(Bench.sh(child, "cat /root/file /tmp/file").stdout()).isEqualTo("disk\ntmp\n");
      assertThat(Bench.sh(child, "hostname").stdout().strip()).isEqualTo(child.id().text());
    }
    Bench.assertAllDiffer(
        List.of(source, children.get(0), children.get(1)), "__import__('uuid').uuid4()");
    Bench.eval(children.getFirst(), "n = 7");
    assertThat(Bench.eval(children.get(1), "n")).isEqualTo("41");
    assertThat(Bench.eval(source, "n")).isEqualTo("1000");
    assertThat(Bench.eval(bench.fork(), "'n' in globals()")).isEqualTo("False");
    assertThat(written.durable()).isTrue();
    assertThat(written.logicalBytes()).isGreaterThanOrEqualTo(512L << 20);
  }

  /** Forks of the branched runtime: each is its child, and knows what it knows. */
  @Test
  void aBranchRunsWhatStartsTheInterpreterWarm() throws Exception {
    Guest child = child(branch(bench.fork(), BranchMode.DIFF).template());
    String started = "python3 -c 'import os; print(os.getppid())'; true";
    assertThat(Bench.sh(child, started).stdout()).isEqualTo("2\n");
    assertThat(Bench.sh(child, "export FORKD_COLD=1; " + started).stdout()).isNotEqualTo("2\n");
  }

  @Test
  void manyPagesAreTakenFromAFrozenCopyOfTheMachine() throws Exception {
    Guest source = bench.fork();
    Bench.eval(source, "big = bytearray(60_000_000)");
    Bench.eval(source, "for i in range(0, len(big), 4096): big[i] = 1 + i // 4096 % 255");
    Branch branch = source.branch(plan(BranchMode.DIFF));
    Bench.eval(source, "for i in range(0, len(big), 4096): big[i] = 0");
    Branch.Written written = written(branch);
    assertThat(written.physicalBytes()).isGreaterThan(60_000_000);
    Guest child = child(written.template());
    assertThat(
            Bench.eval(
                child, "all(big[i] == 1 + i // 4096 % 255 for i in range(0, len(big), 4096))"))
        .isEqualTo("True");
    assertThat(Bench.eval(source, "any(big[::4096])")).isEqualTo("False");
    assertThat(zombiesOf(source)).isEmpty();
  }

  private static List<ProcessHandle> zombiesOf(Guest guest) {
    return ProcessHandle.of(guest.pid()).orElseThrow().children().toList();
  }

  @Test
  void whatRunsWhileItIsTakenDoesNotDisturbItsCopies() throws Exception {
    Guest source = bench.fork();
    ProgramSpec.Program noisy =
        new ProgramSpec.Program.Exec(List.of("sh", "-c", "yes 0123456789abcdef"));
    try (RunningProgram running = source.run(ProgramSpec.of(noisy, SOON))) {
      Branch branch = source.branch(plan(BranchMode.DIFF));
      assertThat(branch.warning()).contains("(1)");
      Guest child = child(written(branch).template());
      assertThat(Bench.sh(child, "echo hello; pgrep yes || echo none").stdout())
          .isEqualTo("hello\nnone\n");
      assertThat(running).isNotNull();
    }
    Ran after = Bench.sh(source, "echo on");
    assertThat(after.stdout()).isEqualTo("on\n");
  }

  @Test
  void aCompactedChainNeedsNoOtherSnapshot() throws Exception {
    Guest source = bench.fork();
    Bench.eval(source, "a = 1");
    Branch.Written first = branch(source, BranchMode.DIFF);
    Guest second = child(first.template());
    Bench.eval(second, "b = 2");
    Branch.Written chain = branch(second, BranchMode.DIFF);
    Tag tag = new Tag("flat");
    Path at = Files.createDirectory(dir.resolve("flat"));
    Branch.Written flat = chain.template().compact(new CompactPlan(tag, at, LONG));
    templates.add(flat.template());
    chain.template().close();
    assertThat(Files.exists(at.resolve("lower"))).isFalse();
    assertThat(Bench.eval(child(flat.template()), "a + b")).isEqualTo("3");
  }

  /** A page that was copied too late would keep one increment too many. */
  @ParameterizedTest
  @EnumSource(BranchMode.class)
  void memoryAndProcessorAreOfOneMoment(BranchMode mode) throws Exception {
    Guest source = bench.fork();
    Bench.eval(source, WRITER);
    Bench.eval(source, "while laps < 1: time.sleep(0.01)");
    Branch.Written written = branch(source, mode);
    Guest child = child(written.template());
    assertThat(Bench.eval(child, "halt()")).isEqualTo("True");
    assertThat(Bench.eval(source, "halt()")).isEqualTo("True");
  }

  /**
   * Adds one to each of 3000 pages in turn: all are equal, but for one step between two of them.
   */
  private static final String WRITER =
      """
      import array, threading, time
      pages = array.array('Q', bytes(3000 * 4096))
      laps, stop = 0, False
      def write():
        global laps
        while not stop:
          for i in range(0, len(pages), 512):
            pages[i] += 1
            if stop: break
          laps += 1
      thread = threading.Thread(target=write, daemon=True)
      thread.start()
      def halt():
        global stop
        stop = True
        thread.join()
        seen = [pages[i] for i in range(0, len(pages), 512)]
        return seen == sorted(seen, reverse=True) and seen[0] - seen[-1] <= 1 and seen[0] > 0
      """;

  @Test
  void aChainOfEightStoresOnlyWhatChanged() throws Exception {
    Branch.Written last = branch(bench.fork(), BranchMode.DIFF);
    long bytes = last.physicalBytes();
    for (int depth = 2; depth <= 8; depth++) {
      Guest link = child(last.template());
      Bench.eval(link, "depth_%1$d = %1$d".formatted(depth));
      last = branch(link, BranchMode.DIFF);
      bytes += last.physicalBytes();
      link.close();
    }
    Guest eighth = child(last.template());
    assertThat(Bench.eval(eighth, "sum(globals()['depth_%d' % i] for i in range(2, 9))"))
        .isEqualTo("35");
    assertThat(bytes).isLessThan(8 * (32L << 20));
  }

  @Test
  void aBranchOutlivesItsEngineAndItsDirectorysName() throws Exception {
    Guest source = bench.fork();
    Bench.eval(source, "n = 1");
    Branch.Written first = branch(source, BranchMode.DIFF);
    Guest second = child(first.template());
    Bench.eval(second, "n += 1");
    BranchPlan plan = plan(BranchMode.DIFF);
    Branch.Written written = written(second.branch(plan));
    Path moved = dir.resolve("moved");
    Files.move(plan.dir(), moved);
    assertThat(Bench.eval(child(written.template()), "n")).isEqualTo("2");
    closeOpened();
    try (VmEngine later = new VmEngine(VmHost.paths(dir.resolve("later")))) {
      Template restored = later.restore(restorePlan(moved));
      Guest third = child(restored);
      Bench.eval(third, "n += 1");
      Branch.Written grandchild = branch(third, BranchMode.DIFF);
      assertThat(Bench.eval(child(grandchild.template()), "n")).isEqualTo("3");
      closeOpened();
    }
  }

  private static RestorePlan restorePlan(Path at) {
    return new RestorePlan(
        Bench.TAG, List.of(at), VmHost.image(), "/workdir", Map.of(), Limits.DEFAULT);
  }

  @Test
  void whatIsDamagedOrMadeElsewhereIsRefused() throws Exception {
    BranchPlan plan = plan(BranchMode.DIFF);
    written(bench.fork().branch(plan));
    BranchFiles files = new BranchFiles(plan.dir());
    long own = PageIndex.read(files.index(), 1L << 30).ranges().getFirst().first() * 4096;
    assertRefused(plan, files.memory(), own, FailureKind.ENGINE, "memory.bin is damaged");
    assertRefused(plan, files.lower(0), 40 << 20, FailureKind.ENGINE, "0.bin is damaged");
    assertRefused(plan, files.state(), 100, FailureKind.ENGINE, "vmstate is damaged");
    assertRefused(plan, files.index(), 16, FailureKind.ENGINE, "memory.bin is damaged");
    assertRefused(plan, files.index(), 0, FailureKind.ENGINE, "it is no index of pages");
    Path manifest = plan.dir().resolve("vm.json");
    String text = Files.readString(manifest);
    assertRefused(plan, manifest, 5, FailureKind.ENGINE, "vm.json is damaged");
    Files.writeString(manifest, text.replaceFirst("bytes of 20", "bytes of 19"));
    assertThat(Contract.failureOf(() -> bench.engine().restore(restorePlan(plan.dir()))))
        .satisfies(failure -> assertThat(failure.kind()).isEqualTo(FailureKind.CONFLICT))
        .satisfies(failure -> assertThat(failure.message()).contains("cannot be forked: its"));
    Files.writeString(manifest, text);
    Files.delete(files.state());
    assertThat(Contract.failureOf(() -> bench.engine().restore(restorePlan(plan.dir()))).message())
        .contains("vmstate");
  }

  /** Turns one byte, looks at what restoring says, and turns it back. */
  private void assertRefused(BranchPlan plan, Path file, long at, FailureKind kind, String why)
      throws IOException {
    turn(file, at);
    Failure failure = Contract.failureOf(() -> bench.engine().restore(restorePlan(plan.dir())));
    assertThat(failure.kind()).isEqualTo(kind);
    assertThat(failure.message()).contains(why);
    turn(file, at);
  }

  private static void turn(Path file, long at) throws IOException {
    try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
      bytes.seek(at);
      int before = bytes.read();
      bytes.seek(at);
      bytes.write(before ^ 1);
    }
  }
}
