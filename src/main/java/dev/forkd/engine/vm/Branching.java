package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.forkd.agent.AgentConnection;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.host.Deadline;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes a snapshot of a running machine. It stands still while its devices are saved and its own
 * pages are copied, or, when they are many, while QEMU is copied (which copies page tables); all
 * else is done while it runs on. Modes differ only in what the snapshot's file then holds.
 */
final class Branching {
  private static final Logger LOG = LoggerFactory.getLogger(Branching.class);
  private static final Duration COMMAND = Duration.ofSeconds(30);

  /** More takes longer to copy than QEMU's page tables do; see docs/benchmarks.md. */
  private static final long COPY_MAX = 8L << 20;

  /** What every saved state of QEMU begins with. */
  private static final byte[] MAGIC = "QEVM".getBytes(US_ASCII);

  private final Frozen from;
  private final SnapshotWriting writing;

  Branching(Frozen from, SnapshotWriting writing) {
    this.from = from;
    this.writing = writing;
  }

  /** Takes one; the machine runs on when this returns, also when it fails. */
  Branch take(Started source, AgentConnection agent, BranchPlan plan) {
    Deadline deadline = Deadline.after(plan.deadline());
    BranchFiles files = new BranchFiles(plan.dir());
    Capture capture = new Capture(writing.wrapper(), order(source, files), deadline);
    try {
      long before = Files.size(source.saved());
      Held held = hold(source, agent, capture, deadline);
      copyState(source.saved(), before, files.state());
      LOG.info(
          "event=branched tag={} mode={} pause_micros={} how={}",
          plan.tag(),
          plan.mode().word(),
          held.pause().toNanos() / 1_000,
          held.how());
      CompletableFuture<Branch.Written> written = new CompletableFuture<>();
      Thread.ofVirtual()
          .name("branch-" + plan.tag())
          .start(() -> finish(capture, files, plan, deadline, written));
      return new Branch(held.pause(), warning(held), written);
    } catch (IOException e) {
      capture.close();
      throw new Failure(FailureKind.ENGINE, "branching to " + plan.tag() + ": " + e).thrown(e);
    } catch (ForkdException e) {
      capture.close();
      throw e;
    }
  }

  private Capture.Order order(Started source, BranchFiles files) {
    return new Capture.Order(
        source.qemu().pid(),
        from.machine().memoryBytes(),
        COPY_MAX,
        files.memory(),
        files.index(),
        from.mapped());
  }

  /**
   * What QEMU saved last. It was given one descriptor for all times: it empties the file before it
   * writes, and goes on at the position that it had come to, so zeros come first.
   *
   * @param before length of the file before QEMU wrote
   */
  private static void copyState(Path saved, long before, Path to) throws IOException {
    try (FileChannel from = FileChannel.open(saved);
        FileChannel out =
            FileChannel.open(to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
      long end = from.size();
      for (long at = before; at < end; ) {
        at += from.transferTo(at, end - at, out);
      }
    }
    if (!startsWith(to, MAGIC)) {
      throw new ForkdException(
          FailureKind.ENGINE, "QEMU saved no state of its devices in " + saved);
    }
  }

  private static boolean startsWith(Path file, byte[] magic) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return Arrays.equals(in.readNBytes(magic.length), magic);
    }
  }

  /**
   * A copy whose machine runs on.
   *
   * @param requests that were open while it was taken
   * @param how it was taken: "copied" or "frozen"
   */
  private record Held(Duration pause, int requests, String how) {}

  private static Held hold(
      Started source, AgentConnection agent, Capture capture, Deadline deadline) {
    // A copy of a machine must not hold a part of a frame whose rest goes to somebody else.
    try (AgentConnection.Quiet quiet = agent.quiet(deadline.left())) {
      long start = System.nanoTime();
      source.monitor().run("stop", COMMAND);
      String how;
      try {
        capture.begin();
        source.monitor().saveDevices("/dev/fdset/" + Machine.STATE_FD, COMMAND);
        how = capture.awaitHeld(deadline);
      } finally {
        source.monitor().run("cont", COMMAND);
      }
      return new Held(Duration.ofNanos(System.nanoTime() - start), quiet.requests(), how);
    }
  }

  private static String warning(Held held) {
    return held.requests() == 0
        ? ""
        : "requests that were running in the sandbox (%d) end in its copies"
            .formatted(held.requests());
  }

  private void finish(
      Capture capture,
      BranchFiles files,
      BranchPlan plan,
      Deadline deadline,
      CompletableFuture<Branch.Written> written) {
    long start = System.nanoTime();
    try (capture) {
      Capture.Captured captured = capture.awaitDone(deadline);
      VmTemplate template =
          plan.mode() == BranchMode.DIFF
              ? writing.delta(from, plan.tag(), files, deadline)
              : writing.whole(from, plan.tag(), files, deadline);
      written.complete(
          new Branch.Written(
              template,
              Duration.ofNanos(System.nanoTime() - start),
              plan.mode() == BranchMode.DIFF ? captured.bytes() : allocated(files),
              from.machine().memoryBytes(),
              true));
    } catch (ForkdException e) {
      written.completeExceptionally(e);
    } catch (IOException | RuntimeException e) {
      String message = "writing snapshot " + plan.tag() + ": " + e;
      written.completeExceptionally(new Failure(FailureKind.ENGINE, message).thrown(e));
    }
  }

  private static long allocated(BranchFiles files) throws IOException {
    return SnapshotWriting.allocated(files.memory());
  }
}
