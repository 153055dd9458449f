package dev.forkd.engine.vm;

import dev.forkd.contract.Bench;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Limits;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Measures branches and prints a table ({@code make benchbranch}); no test of the suite. Rounds of
 * all modes take turns, so that a busy moment of the host meets them all.
 */
@org.junit.jupiter.api.Tag("vm")
class VmBranchFigures {
  private static final Duration LONG = Duration.ofMinutes(3);
  private static final int ROUNDS = Integer.getInteger("forkd.rounds", 5);
  private static final int LINKS = 8;

  /** Writes to 4000 pages in turn (16 MB), and keeps the longest time between two writes. */
  private static final String BUSY =
      """
      import array, threading, time
      pages = array.array('Q', bytes(4000 * 4096))
      gap, reset, laps = 0.0, True, 0
      def write():
        global gap, reset, laps
        last = time.perf_counter()
        while True:
          for i in range(0, len(pages), 512):
            pages[i] += 1
            now = time.perf_counter()
            if reset: gap, reset, last = 0.0, False, now
            if now - last > gap: gap = now - last
            last = now
          laps += 1
      threading.Thread(target=write, daemon=True).start()
      """;

  @TempDir static Path dir;
  private final List<String> lines = new ArrayList<>();
  private Bench bench;
  private int tags;

  @Test
  void measure() throws Exception {
    VmHost.requireIt();
    bench = new Bench(new VmEngine(VmHost.paths(dir)), VmHost.image());
    try {
      sayWhere();
      say(
          "| RAM | guest | mode | pause ms, median (max) | longest stall seen in the guest, ms |"
              + " until it can be forked, ms | on disk, MiB |");
      say("|---:|---|---|---:|---:|---:|---:|");
      for (long mib : new long[] {512, 1024, 4096}) {
        try (Template template = bench.engine().warm(plan(mib), _ -> {})) {
          measureModes(template, mib, false);
          measureModes(template, mib, true);
        }
      }
      measureChain();
    } finally {
      bench.close();
    }
    lines.forEach(System.out::println);
    Path file = Path.of(System.getProperty("forkd.figures", "target/vm-branch.md"));
    Files.write(file, lines);
  }

  /** What the figures depend on; no names, no paths. */
  private void sayWhere() throws IOException {
    say("# Branches of virtual machines, " + Instant.now().truncatedTo(ChronoUnit.MINUTES));
    say("");
    say("- command: make benchbranch (%d rounds)".formatted(ROUNDS));
    String model =
        Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
            .filter(line -> line.startsWith("model name"))
            .findFirst()
            .map(line -> line.replaceFirst("[^:]*: *", ""))
            .orElse("unknown");
    int cores = Runtime.getRuntime().availableProcessors();
    say(
        "- machine: cpu %s, cores %d, kernel %s"
            .formatted(model, cores, System.getProperty("os.version")));
    say("- load before: " + Files.readString(Path.of("/proc/loadavg")).strip());
    say("- engine: " + new TreeMap<>(bench.engine().capabilities().facts()));
    say("");
  }

  private void say(String line) {
    lines.add(line);
  }

  private WarmPlan plan(long mib) {
    WarmPlan plan = bench.plan(Bench.warmUp());
    Limits limits = plan.limits().withMemoryBytes((mib - 256) << 20);
    return new WarmPlan(
        plan.tag(),
        plan.image(),
        plan.runtime(),
        plan.warm(),
        plan.workdir(),
        plan.env(),
        limits,
        plan.syscalls(),
        plan.network());
  }

  private record Round(double pause, double stall, double ready, long bytes) {}

  private void measureModes(Template template, long mib, boolean busy) throws Exception {
    Map<BranchMode, List<Round>> rounds = new EnumMap<>(BranchMode.class);
    // A round that is not counted: the base goes to disk with the first diff.
    for (int i = 0; i <= ROUNDS; i++) {
      for (BranchMode mode : BranchMode.values()) {
        Round round = measureOne(template, mode, busy);
        if (i > 0) {
          rounds.computeIfAbsent(mode, _ -> new ArrayList<>()).add(round);
        }
      }
    }
    for (BranchMode mode : BranchMode.values()) {
      List<Round> of = rounds.getOrDefault(mode, List.of());
      double max = of.stream().mapToDouble(Round::pause).max().orElseThrow();
      say(
          "| %d MiB | %s | %s | %.1f (%.1f) | %s | %.0f | %.1f |"
              .formatted(
                  mib,
                  busy ? "busy" : "idle",
                  mode.word(),
                  median(of.stream().mapToDouble(Round::pause).toArray()),
                  max,
                  busy
                      ? "%.1f".formatted(median(of.stream().mapToDouble(Round::stall).toArray()))
                      : "-",
                  median(of.stream().mapToDouble(Round::ready).toArray()),
                  of.getFirst().bytes() / 1048576.0));
    }
  }

  private Round measureOne(Template template, BranchMode mode, boolean busy) throws Exception {
    Guest guest = bench.fork(template, 1, Limits.DEFAULT).getFirst();
    Bench.eval(guest, busy ? BUSY : "1 + 1");
    if (busy) {
      Bench.eval(guest, "while laps < 1: time.sleep(0.01)");
      Bench.eval(guest, "reset = True");
    }
    long start = System.nanoTime();
    Branch branch = guest.branch(branchPlan(mode));
    Branch.Written written = branch.written().toCompletableFuture().get(3, TimeUnit.MINUTES);
    double ready = (System.nanoTime() - start) / 1e6;
    double stall = busy ? Double.parseDouble(Bench.eval(guest, "gap * 1000")) : 0;
    written.template().close();
    bench.closeOpened();
    return new Round(branch.pause().toNanos() / 1e6, stall, ready, written.physicalBytes());
  }

  private BranchPlan branchPlan(BranchMode mode) throws IOException {
    Tag tag = new Tag("figure-" + ++tags);
    return new BranchPlan(tag, Files.createDirectory(dir.resolve(tag.text())), mode, LONG);
  }

  private void measureChain() throws Exception {
    List<Template> links = new ArrayList<>(List.of(bench.template()));
    List<Path> dirs = new ArrayList<>();
    StringBuilder sizes = new StringBuilder();
    for (int depth = 1; depth <= LINKS; depth++) {
      Guest guest = bench.fork(links.getLast(), 1, Limits.DEFAULT).getFirst();
      Bench.eval(guest, "depth = " + depth);
      BranchPlan plan = branchPlan(BranchMode.DIFF);
      Branch branch = guest.branch(plan);
      Branch.Written written = branch.written().toCompletableFuture().get(3, TimeUnit.MINUTES);
      links.add(written.template());
      dirs.add(plan.dir());
      sizes.append(" %.1f".formatted(written.physicalBytes() / 1048576.0));
      bench.closeOpened();
    }
    double[][] times = new double[LINKS + 1][ROUNDS * 2];
    for (int round = 0; round < ROUNDS * 2; round++) {
      for (int depth : new int[] {0, 1, 4, LINKS}) {
        long start = System.nanoTime();
        bench.fork(links.get(depth), 1, Limits.DEFAULT);
        times[depth][round] = (System.nanoTime() - start) / 1e6;
        bench.closeOpened();
      }
    }
    say("");
    say(
        "Fork of one child until it has answered, 512 MiB, by depth of the chain, ms, median:"
            + " 0: %.0f, 1: %.0f, 4: %.0f, 8: %.0f."
                .formatted(
                    median(times[0]), median(times[1]), median(times[4]), median(times[LINKS])));
    say("MiB that each link has of its own:" + sizes + ".");
    links.subList(1, links.size()).reversed().forEach(Template::close);
    say("");
    say(
        "Opening it after a restart, all digests compared, once, ms: "
            + "depth 1: %.0f, 8: %.0f.".formatted(reopen(dirs.getFirst()), reopen(dirs.getLast())));
  }

  private double reopen(Path dir) {
    RestorePlan plan =
        new RestorePlan(
            Bench.TAG, List.of(dir), VmHost.image(), "/workdir", Map.of(), Limits.DEFAULT);
    long start = System.nanoTime();
    bench.engine().restore(plan).close();
    return (System.nanoTime() - start) / 1e6;
  }

  private static double median(double[] values) {
    double[] sorted =
        Arrays.stream(values)
            .boxed()
            .sorted(Comparator.naturalOrder())
            .mapToDouble(Double::doubleValue)
            .toArray();
    return sorted[sorted.length / 2];
  }
}
