package dev.forkd.engine.vm;

import dev.forkd.agent.AgentSettings;
import dev.forkd.engine.Branch;
import dev.forkd.engine.CompactPlan;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Template;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.host.Deadline;
import dev.forkd.host.FileTree;
import dev.forkd.host.Proc;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A frozen machine: sealed memory, saved devices, read-only disks. */
final class VmTemplate implements Template {
  private static final Logger LOG = LoggerFactory.getLogger(VmTemplate.class);
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final int ENTROPY_BYTES = 64;

  /** What a machine that has answered holds of its own, with something for what it does next. */
  private static final long CHILD = 48L << 20;

  /** Of a guest's RAM: for its kernel, and for files of the image that are in use. */
  private static final long KERNEL = 160L << 20;

  /** Left for everything else on this host. */
  private static final long RESERVE = 256L << 20;

  private static final long NANOS = 1_000_000_000L;

  /** Starting more of them at once only makes each of them late. */
  private static final int STARTING = 2 * Runtime.getRuntime().availableProcessors();

  /** For a program to start; many at once on one emulated processor take their time. */
  private static final Duration START_WAIT = Duration.ofSeconds(60);

  private final Site site;
  private final Setting setting;
  private final Frozen frozen;
  private final Live live;
  private final Set<SandboxId> ids;
  private final Semaphore starting = new Semaphore(STARTING);
  private final Set<VmGuest> guests = ConcurrentHashMap.newKeySet();
  private final CompletableFuture<String> ended = new CompletableFuture<>();
  private volatile boolean closed;

  /** A template among those of {@code live}. */
  VmTemplate(Site site, Setting setting, Frozen frozen, Live live) {
    this.site = site;
    this.setting = setting;
    this.frozen = frozen;
    this.live = live;
    this.ids = live.ids();
    var _ = frozen.memory().ended().thenRun(this::memoryLost);
  }

  Frozen frozen() {
    return frozen;
  }

  private void memoryLost() {
    if (!closed) {
      ended.complete(
          "the template of snapshot " + setting.tag() + " ended: its memory's holder died");
    }
  }

  @Override
  public String report() {
    return frozen.report();
  }

  @Override
  public CompletionStage<String> ended() {
    return ended.minimalCompletionStage();
  }

  @Override
  public List<ForkOutcome> fork(ForkPlan fork) {
    long start = System.nanoTime();
    checkOpen();
    frozen
        .stamp()
        .check(
            Stamp.of(site.paths(), frozen.machine(), site.kernel(), frozen.layers()),
            setting.tag().text());
    checkRoom(fork.children().size());
    claim(fork);
    Deadline deadline = Deadline.after(fork.deadline());
    List<Future<ForkOutcome>> made = new ArrayList<>();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (ForkPlan.Child child : fork.children()) {
        made.add(threads.submit(() -> forkOne(child, fork.limits(), start, deadline)));
      }
    }
    List<ForkOutcome> outcomes = made.stream().map(VmTemplate::result).toList();
    LOG.info(
        "event=forked template={} n={} answered={} millis={}",
        frozen.name(),
        outcomes.size(),
        outcomes.stream().filter(ForkOutcome.Forked.class::isInstance).count(),
        (System.nanoTime() - start) / 1_000_000);
    return outcomes;
  }

  @Override
  public int room() {
    return Math.clamp((Proc.availableMemory() - RESERVE) / CHILD, 0, Integer.MAX_VALUE);
  }

  private void checkRoom(int n) {
    int room = room();
    if (n > room) {
      String message =
          "there is memory for %d more virtual machines (%d MiB each), not for %d; destroy some"
              .formatted(room, CHILD >> 20, n);
      throw new ForkdException(FailureKind.EXHAUSTED, message);
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new ForkdException(
          FailureKind.ENGINE, "the template of snapshot " + setting.tag() + " is closed");
    }
  }

  private void claim(ForkPlan fork) {
    Set<SandboxId> claimed = new HashSet<>();
    for (ForkPlan.Child child : fork.children()) {
      if (!ids.add(child.id())) {
        ids.removeAll(claimed);
        throw new ForkdException(FailureKind.CONFLICT, "sandbox " + child.id() + " exists already");
      }
      claimed.add(child.id());
    }
  }

  private ForkOutcome forkOne(ForkPlan.Child child, Limits limits, long start, Deadline deadline) {
    try {
      if (!starting.tryAcquire(deadline.leftNanos(), TimeUnit.NANOSECONDS)) {
        String message = "sandbox " + child.id() + ": the batch's deadline passed before its turn";
        throw new ForkdException(FailureKind.TIMEOUT, message);
      }
      try {
        VmGuest guest = resume(child, limits, deadline);
        Duration ready = Duration.ofNanos(System.nanoTime() - start);
        return new ForkOutcome.Forked(child.id(), guest, ready);
      } finally {
        starting.release();
      }
    } catch (ForkdException e) {
      ids.remove(child.id());
      return new ForkOutcome.Failed(child.id(), e.failure());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      ids.remove(child.id());
      Failure failure = new Failure(FailureKind.ENGINE, "forking was interrupted");
      return new ForkOutcome.Failed(child.id(), failure);
    }
  }

  private VmGuest resume(ForkPlan.Child child, Limits limits, Deadline deadline) {
    Laps laps = new Laps();
    VmGuest guest = start(child.id(), limits, laps, deadline);
    try {
      laps.mark("greeting");
      guest.identify(() -> identity(child, limits, memory(limits)), deadline.left());
      laps.mark("identity");
      Pong.RuntimeState wanted =
          setting.hasRuntime() ? Pong.RuntimeState.READY : Pong.RuntimeState.NONE;
      Pong.RuntimeState told = guest.ping(deadline.left()).runtime();
      if (told != wanted) {
        throw new ForkdException(
            FailureKind.ENGINE,
            "sandbox " + child.id() + ": its runtime is " + told + " instead of " + wanted);
      }
      laps.mark("answer");
      LOG.info("event=resumed name={} {}", child.id(), laps);
      guests.add(guest);
      checkOpen();
      return guest;
    } catch (ForkdException e) {
      guest.close();
      throw e;
    }
  }

  private VmGuest start(SandboxId id, Limits limits, Laps laps, Deadline deadline) {
    AgentSettings settings =
        new AgentSettings(
            id.text(),
            GuestSpec.ofPrograms(setting.env(), hostname(id)),
            setting.workdir(),
            START_WAIT);
    try {
      Started started = new Starting(site, frozen, id.text(), limits).start(deadline);
      laps.mark("qemu");
      return new VmGuest(
          id,
          started,
          settings,
          deadline.left(),
          branching(),
          frozen.machine().network(),
          this::forget);
    } catch (ForkdException e) {
      Failure why = e.failure();
      throw new Failure(why.kind(), "sandbox " + id + ": " + why.message(), why.detail()).thrown(e);
    }
  }

  private Branching branching() {
    return new Branching(frozen, new SnapshotWriting(site, setting, live));
  }

  @Override
  public Branch.Written compact(CompactPlan plan) {
    checkOpen();
    long start = System.nanoTime();
    BranchFiles files = new BranchFiles(plan.dir());
    try {
      Files.copy(frozen.dir().resolve("state"), files.state());
      VmTemplate whole =
          new SnapshotWriting(site, setting, live)
              .whole(frozen, plan.tag(), files, Deadline.after(plan.deadline()));
      return new Branch.Written(
          whole,
          Duration.ofNanos(System.nanoTime() - start),
          SnapshotWriting.allocated(files.memory()),
          frozen.machine().memoryBytes(),
          true);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "compacting to " + plan.tag() + ": " + e).thrown(e);
    }
  }

  static List<String> disks(List<Path> layers) {
    List<String> files = new ArrayList<>();
    for (Path layer : layers) {
      files.add(Site.descriptor(Machine.FIRST_LAYER_FD + files.size(), 'r', layer));
    }
    return files;
  }

  /** A kernel that runs out of memory itself stands still for minutes before it kills anybody. */
  private long memory(Limits limits) {
    long most = ((long) frozen.machine().memoryMib() << 20) - KERNEL;
    return limits.memoryBytes() == 0 ? most : Math.min(most, limits.memoryBytes());
  }

  private static Fields identity(ForkPlan.Child child, Limits limits, long memory) {
    byte[] entropy = new byte[ENTROPY_BYTES];
    RANDOM.nextBytes(entropy);
    Instant now = Instant.now();
    return Fields.builder()
        .bytes(FieldKey.DATA, entropy)
        .integer(FieldKey.TIME_NS, now.getEpochSecond() * NANOS + now.getNano())
        .text(FieldKey.HOSTNAME, hostname(child.id()))
        .text(FieldKey.MACHINE_ID, child.machineId())
        .integer(FieldKey.MEMORY_BYTES, memory)
        .integer(FieldKey.PIDS_MAX, limits.pids())
        .integer(FieldKey.CPU_MILLIS, limits.cpuMillis())
        .integer(FieldKey.DISK_BYTES, limits.diskBytes())
        .integer(FieldKey.TMP_BYTES, limits.tmpBytes())
        .integer(FieldKey.SHM_BYTES, limits.shmBytes())
        .build();
  }

  /** A host name is an id whose underscores, which host names may not have, are dashes. */
  private static String hostname(SandboxId id) {
    return id.text().replace('_', '-');
  }

  private static ForkOutcome result(Future<ForkOutcome> future) {
    try {
      return future.get();
    } catch (ExecutionException | InterruptedException e) {
      throw new Failure(FailureKind.INTERNAL, "forking a child failed: " + e).thrown(e);
    }
  }

  private void forget(VmGuest guest) {
    guests.remove(guest);
    ids.remove(guest.id());
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    List.copyOf(guests).forEach(VmGuest::close);
    frozen.memory().close();
    frozen.base().filter(_ -> frozen.pages().isEmpty()).ifPresent(BaseFile::close);
    live.remove(this);
    try {
      FileTree.delete(frozen.dir());
    } catch (IOException e) {
      LOG.warn("event=template_dir_left dir={} error=\"{}\"", frozen.dir(), e.toString());
    }
    LOG.info("event=template_closed template={}", frozen.name());
  }
}
