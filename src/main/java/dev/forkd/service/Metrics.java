package dev.forkd.service;

import dev.forkd.model.EngineName;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.Tag;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.IntSupplier;
import java.util.function.Supplier;

/**
 * Counts and latencies, as Prometheus text (exposition format 0.0.4). Written by hand: the client
 * library refuses gauges whose names end in {@code _total}, and clients rely on such names.
 */
final class Metrics {
  /** How a sandbox ends that somebody destroyed. */
  static final String DESTROYED = "destroyed";

  /** Snapshots that have a histogram of their own; the others share one with an empty name. */
  private static final int MAX_SERIES = 100;

  /** Sandboxes whose memory is told one by one; of more, the first. */
  private static final int MAX_SANDBOXES = 1000;

  private final LongAdder forks = new LongAdder();
  private final LongAdder failedForks = new LongAdder();
  private final LongAdder pooled = new LongAdder();
  private final Map<String, Histogram> forkSeconds = new ConcurrentHashMap<>();
  private final Map<String, Histogram> runSeconds = new ConcurrentHashMap<>();
  private final Map<String, LongAdder> ended = new ConcurrentHashMap<>();
  private final Map<String, LongAdder> swept = new ConcurrentHashMap<>();
  private final LongAdder failedSweeps = new LongAdder();

  /** Counts that are asked for when they are read. */
  record Gauges(
      String version,
      IntSupplier snapshots,
      Supplier<List<SandboxInfo>> sandboxes,
      IntSupplier parked,
      IntSupplier programs,
      IntSupplier branches,
      int branchCap,
      Admission admission) {}

  /** A batch of n was handed over, of which so many came from the pool. */
  void forked(Tag tag, EngineName engine, int n, int fromPool, double seconds) {
    forks.add(n);
    pooled.add(fromPool);
    String snapshot = "snapshot=\"" + tag + "\"";
    String labels = "engine=\"" + engine.word() + "\",";
    boolean room = forkSeconds.containsKey(labels + snapshot) || forkSeconds.size() < MAX_SERIES;
    // Tags are the users' own, so series have to be bounded here.
    forkSeconds
        .computeIfAbsent(labels + (room ? snapshot : "snapshot=\"\""), k -> new Histogram())
        .observe(seconds);
  }

  void forkFailed() {
    failedForks.increment();
  }

  /** An exec, a call, an eval or a branch is done. */
  void ran(String kind, double seconds) {
    runSeconds.computeIfAbsent(kind, k -> new Histogram()).observe(seconds);
  }

  /** A sandbox ended; only the class of the reason is counted, so that series stay few. */
  void ended(String reason) {
    String lower = reason.toLowerCase(Locale.ROOT);
    String kind =
        lower.equals(DESTROYED)
            ? DESTROYED
            : lower.startsWith("expired:")
                ? "expired"
                : lower.contains("out of memory")
                    ? "oom"
                    : lower.contains("signal") ? "signal" : "other";
    ended.computeIfAbsent(kind, k -> new LongAdder()).increment();
  }

  /** What a sweep has taken from the disk. */
  void swept(String what, int n) {
    swept.computeIfAbsent(what, k -> new LongAdder()).add(n);
  }

  /** Something that nobody needs could not be removed. */
  void sweepFailed() {
    failedSweeps.increment();
  }

  /** Everything as Prometheus text. */
  String text(Gauges gauges) {
    StringBuilder out = new StringBuilder(4096);
    gauge(out, "forkd_snapshots_total", "Snapshots known.", gauges.snapshots().getAsInt());
    List<SandboxInfo> sandboxes = gauges.sandboxes().get();
    gauge(out, "forkd_sandboxes_active", "Sandboxes that live.", sandboxes.size());
    gauge(out, "forkd_sandboxes_parked", "Children forked ahead.", gauges.parked().getAsInt());
    gauge(out, "forkd_programs_running", "Programs that run.", gauges.programs().getAsInt());
    gauge(out, "forkd_branches_in_flight", "Branches being made.", gauges.branches().getAsInt());
    gauge(out, "forkd_branch_concurrency_cap", "Branches at once.", gauges.branchCap());
    head(out, "forkd_build_info", "gauge", "Version of the daemon.");
    out.append("forkd_build_info{version=\"%s\"} 1%n".formatted(gauges.version()));
    counters(out);
    head(out, "forkd_fork_seconds", "histogram", "Batches, from lease to the last answer.");
    new TreeMap<>(forkSeconds).forEach((labels, it) -> it.write(out, "forkd_fork_seconds", labels));
    head(out, "forkd_run_seconds", "histogram", "Programs run to their end, and evals.");
    new TreeMap<>(runSeconds)
        .forEach((kind, it) -> it.write(out, "forkd_run_seconds", "kind=\"" + kind + "\""));
    memory(out, sandboxes);
    admission(out, gauges.admission());
    jvm(out);
    return out.toString();
  }

  private void counters(StringBuilder out) {
    head(out, "forkd_forks_total", "counter", "Sandboxes handed out.");
    out.append("forkd_forks_total %d%n".formatted(forks.sum()));
    head(out, "forkd_pool_hits_total", "counter", "Sandboxes that came from a pool.");
    out.append("forkd_pool_hits_total %d%n".formatted(pooled.sum()));
    head(out, "forkd_fork_failures_total", "counter", "Batches that failed.");
    out.append("forkd_fork_failures_total %d%n".formatted(failedForks.sum()));
    String name = "forkd_sandboxes_ended_total";
    counters(out, name, "Sandboxes that ended, by reason.", "reason", ended);
    counters(out, "forkd_swept_total", "Taken from the disk as unused.", "what", swept);
    head(out, "forkd_sweep_failures_total", "counter", "What could not be taken from the disk.");
    out.append("forkd_sweep_failures_total %d%n".formatted(failedSweeps.sum()));
  }

  private static void counters(
      StringBuilder out, String name, String help, String label, Map<String, LongAdder> counts) {
    head(out, name, "counter", help);
    new TreeMap<>(counts)
        .forEach((value, count) ->
            out.append("%s{%s=\"%s\"} %d%n".formatted(name, label, value, count.sum())));
  }

  private static void memory(StringBuilder out, List<SandboxInfo> sandboxes) {
    String name = "forkd_sandbox_memory_bytes";
    head(out, name, "gauge", "In use by a sandbox that has a memory control group.");
    sandboxes.stream()
        .limit(MAX_SANDBOXES)
        .filter(sandbox -> sandbox.memoryBytes().isPresent())
        .forEach(sandbox ->
            out.append(
                "%s{sandbox=\"%s\",snapshot=\"%s\"} %d%n"
                    .formatted(
                        name, sandbox.id(), sandbox.tag(), sandbox.memoryBytes().getAsLong())));
  }

  private static void admission(StringBuilder out, Admission admission) {
    long mib = 1 << 20;
    gauge(out, "forkd_memory_budget_bytes", "0: none.", admission.budgetMib() * mib);
    gauge(
        out,
        "forkd_memory_reserved_bytes",
        "Of all that lives, at its limits.",
        admission.reservedMib() * mib);
    head(out, "forkd_admissions_refused_total", "counter", "Batches over the memory budget.");
    out.append("forkd_admissions_refused_total %d%n".formatted(admission.refused()));
  }

  private static void jvm(StringBuilder out) {
    Runtime jvm = Runtime.getRuntime();
    gauge(out, "forkd_jvm_heap_used_bytes", "Heap in use.", jvm.totalMemory() - jvm.freeMemory());
    gauge(out, "forkd_jvm_heap_max_bytes", "Heap at the most.", jvm.maxMemory());
  }

  private static void gauge(StringBuilder out, String name, String help, long value) {
    head(out, name, "gauge", help);
    out.append("%s %d%n".formatted(name, value));
  }

  private static void head(StringBuilder out, String name, String type, String help) {
    out.append("# HELP %s %s%n# TYPE %s %s%n".formatted(name, help, name, type));
  }
}
