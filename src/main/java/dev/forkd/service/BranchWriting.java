package dev.forkd.service;

import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.json.Json;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.node.ObjectNode;

/** From a sandbox to a snapshot that can be forked: staged, then renamed, then committed. */
final class BranchWriting {
  private static final Logger LOG = LoggerFactory.getLogger(BranchWriting.class);
  private static final int MANIFEST_VERSION = 1;
  private static final int MAX_WARNING = 2000;

  /** For the engine; a large machine's memory goes to a slow disk. */
  private static final Duration DEADLINE = Duration.ofMinutes(15);

  /** An engine keeps its deadline itself; this ends the wait for one that does not. */
  private static final Duration MARGIN = Duration.ofSeconds(30);

  private final Parts parts;
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Warming warming;
  private final Metrics metrics;

  BranchWriting(
      Parts parts, Snapshots snapshots, Sandboxes sandboxes, Warming warming, Metrics metrics) {
    this.parts = parts;
    this.snapshots = snapshots;
    this.sandboxes = sandboxes;
    this.warming = warming;
    this.metrics = metrics;
  }

  /** One snapshot on its way. */
  private record Job(
      SnapshotRow row, BranchTerms terms, BranchSource source, Path staged, Runnable after) {
    Tag tag() {
      return row.tag();
    }
  }

  /**
   * Writes a snapshot that {@link Snapshots#begin} announced.
   *
   * @param after runs once, when it is ready or has failed
   * @return the snapshot; still being written when the terms say not to wait
   */
  SnapshotInfo write(SnapshotRow row, BranchTerms terms, BranchSource source, Runnable after) {
    long began = System.nanoTime();
    Job job;
    Branch branch;
    try {
      job = new Job(row, terms, source, parts.files().stage(row.tag()), after);
    } catch (RuntimeException e) {
      snapshots.abort(row.tag(), String.valueOf(e.getMessage()));
      after.run();
      throw e;
    }
    try {
      branch = source.guest().branch(plan(job, terms.mode()));
    } catch (RuntimeException e) {
      abort(job, e);
      throw e;
    }
    if (terms.await()) {
      finish(job, branch, began);
      return snapshots.get(row.tag());
    }
    SnapshotInfo info = snapshots.paused(row.tag(), millis(branch.pause()));
    Thread.ofVirtual().name("branch-" + row.tag()).start(() -> finishAlone(job, branch, began));
    return info;
  }

  private static BranchPlan plan(Job job, BranchMode mode) {
    return new BranchPlan(job.tag(), job.staged(), mode, DEADLINE);
  }

  private void finish(Job job, Branch branch, long began) {
    try {
      commit(job, branch, written(branch), began);
    } catch (RuntimeException e) {
      abort(job, e);
      throw e;
    }
    job.after().run();
  }

  // Nobody waits: the snapshot itself tells how it went.
  private void finishAlone(Job job, Branch branch, long began) {
    try {
      commit(job, branch, written(branch), began);
    } catch (RuntimeException e) {
      LOG.warn("event=branch_failed tag={} reason=\"{}\"", job.tag(), e.getMessage());
      try {
        parts.files().discard(job.staged());
      } finally {
        snapshots.fail(job.tag(), String.valueOf(e.getMessage()));
      }
    } finally {
      job.after().run();
    }
  }

  private void abort(Job job, RuntimeException reason) {
    try {
      parts.files().discard(job.staged());
      snapshots.abort(job.tag(), String.valueOf(reason.getMessage()));
    } catch (RuntimeException e) {
      reason.addSuppressed(e); // the next start takes back what is still being written
    } finally {
      job.after().run();
    }
  }

  private static Branch.Written written(Branch branch) {
    CompletableFuture<Branch.Written> written = branch.written().toCompletableFuture();
    try {
      return written.get(DEADLINE.plus(MARGIN).toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | CompletionException e) {
      throw e.getCause() instanceof ForkdException known
          ? known.failure().thrown(known)
          : new Failure(FailureKind.INTERNAL, "the engine's copy failed: " + e.getCause())
              .thrown(e);
    } catch (TimeoutException | InterruptedException e) {
      // Whenever it comes: nobody will use it.
      branch.written().thenAccept(late -> Thread.startVirtualThread(() -> late.template().close()));
      if (e instanceof InterruptedException) {
        Thread.currentThread().interrupt();
      }
      throw new Failure(FailureKind.TIMEOUT, "the engine's copy did not end in time").thrown(e);
    }
  }

  private void commit(Job job, Branch branch, Branch.Written written, long began) {
    WarmTemplate template = live(job, written);
    SnapshotRow ready;
    try {
      Measured measured = measure(job, written);
      ready =
          job.row()
              .branched(
                  written.template().report(),
                  warning(branch, measured),
                  origin(job, branch, written, measured));
      parts.files().publish(job.staged(), job.tag(), manifest(ready));
      snapshots.commit(ready, template);
    } catch (RuntimeException e) {
      template.retire();
      throw e;
    }
    sandboxes.branched(job.source().row().id(), ready.dir());
    metrics.ran("branch", Durations.secondsSince(began));
    LOG.info(
        "event=sandbox_branched id={} tag={} mode={} pause_ms={} bytes={} durable={} ms={}",
        job.source().row().id(),
        job.tag(),
        job.terms().mode().word(),
        millis(branch.pause()),
        written.physicalBytes(),
        written.durable(),
        Durations.millisSince(began));
  }

  private WarmTemplate live(Job job, Branch.Written written) {
    WarmTemplate source = job.source().template();
    return warming.live(
        job.tag(),
        job.row().engine(),
        source.recipe(),
        written.template(),
        base(job.terms().mode(), source, written.durable()));
  }

  // A diff needs its parent. What lives in memory only is made of what was warmed, however many
  // branches lie between: those in between may go.
  private static WarmTemplate.Base base(BranchMode mode, WarmTemplate source, boolean durable) {
    if (mode == BranchMode.DIFF) {
      return WarmTemplate.Base.on(source, source.secrets());
    }
    return durable
        ? WarmTemplate.Base.image(source.imageDigest(), source.secrets())
        : WarmTemplate.Base.on(source.root(), source.secrets());
  }

  /** Figures of a diff, or why there are none. */
  private record Measured(Optional<Origin.Diff> diff, String trouble) {}

  private Measured measure(Job job, Branch.Written written) {
    if (job.terms().mode() == BranchMode.DIFF) {
      return new Measured(Optional.of(diff(written)), "");
    }
    if (!job.terms().measure()) {
      return new Measured(Optional.empty(), "");
    }
    Path scratch = parts.files().stage(job.tag());
    try {
      BranchPlan plan = new BranchPlan(job.tag(), scratch, BranchMode.DIFF, DEADLINE);
      Branch.Written thrownAway = written(job.source().guest().branch(plan));
      thrownAway.template().close();
      return new Measured(Optional.of(diff(thrownAway)), "");
    } catch (ForkdException e) {
      return new Measured(Optional.empty(), "the diff could not be measured: " + e.getMessage());
    } finally {
      parts.files().discard(scratch);
    }
  }

  private static Origin.Diff diff(Branch.Written written) {
    return new Origin.Diff(millis(written.copying()), memory(written));
  }

  private static Origin.Memory memory(Branch.Written written) {
    return new Origin.Memory(written.physicalBytes(), written.logicalBytes());
  }

  private static Origin origin(Job job, Branch branch, Branch.Written written, Measured measured) {
    Origin planned = job.row().origin();
    return new Origin(
        planned.sandbox(),
        planned.parentTag(),
        planned.parentHash(),
        OptionalLong.of(millis(branch.pause())),
        memory(written),
        measured.diff(),
        written.durable());
  }

  // It may quote what the guest calls its processes and files: bounded, one line.
  private static String warning(Branch branch, Measured measured) {
    String both = (branch.warning() + " " + measured.trouble()).replaceAll("\\p{Cntrl}+", " ");
    String line = both.strip();
    return line.length() <= MAX_WARNING ? line : line.substring(0, MAX_WARNING) + "...";
  }

  private static long millis(Duration duration) {
    return Math.round(duration.toNanos() / 1e6);
  }

  private static ObjectNode manifest(SnapshotRow row) {
    return Json.object()
        .put("version", MANIFEST_VERSION)
        .put("id", UUID.randomUUID().toString()) // tells it from a later one of the same name
        .put("tag", row.tag().text())
        .put("created_at_unix", row.createdAtUnix())
        .put("engine", row.engine().word())
        .put("image_digest", row.imageDigest())
        .put("branched_from", row.origin().sandbox())
        .put("parent_tag", row.parentTag())
        .put("parent_hash", row.origin().parentHash())
        .put("durable", row.origin().durable())
        .put("base_dir", row.baseDir().toString())
        .put("recipe", row.recipe());
  }
}
