package dev.forkd.engine.vm;

import dev.forkd.engine.Capabilities;
import dev.forkd.engine.Engine;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.engine.network.Networks;
import dev.forkd.host.FileTree;
import dev.forkd.host.Proc;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Engine of QEMU microVMs. Looks for its means when it is first used. */
public final class VmEngine implements Engine {
  private static final Logger LOG = LoggerFactory.getLogger(VmEngine.class);
  private static final long LEAST_MEMORY_MIB = 512;
  private static final long BESIDE_LIMIT_MIB = 256;
  private static final long MAX_MEMORY_MIB = 1 << 20;
  private static final Duration FIRST_BOOT = Duration.ofSeconds(75);
  private static final int MILLIS = 1000;
  private static final int MAX_CPUS = 64;
  private static final int MIB_BITS = 20;
  private static final int TAG_IN_NAME = 12;

  private final VmPaths paths;
  private final LayerImages images;
  private final ExecutorService starter =
      Executors.newSingleThreadExecutor(
          Thread.ofPlatform().daemon().name("qemu-starter").factory());
  private final AtomicLong numbers = new AtomicLong();
  private final Live live = new Live();
  private Optional<Site> site = Optional.empty();
  private boolean closed;

  /** An engine; starts and fetches nothing yet. */
  public VmEngine(VmPaths paths) {
    this.paths = paths;
    this.images = new LayerImages(paths.cacheDir().resolve("disks"));
  }

  @Override
  public EngineName name() {
    return EngineName.VM;
  }

  /**
   * There is no way to show a directory of this machine to a guest that it could be forked with.
   */
  @Override
  public boolean sharesHostRoot() {
    return false;
  }

  @Override
  public void recover() {
    try {
      Recovery.run(paths);
    } catch (IOException | UncheckedIOException e) {
      throw new Failure(FailureKind.ENGINE, "removing what is left of virtual machines: " + e)
          .thrown(e);
    }
  }

  @Override
  public void retainImages(Set<String> digests) {
    images.retain(digests);
  }

  @Override
  public Set<Network> networks() {
    return Proc.effectiveUid() == 0 ? EnumSet.allOf(Network.class) : Set.of();
  }

  /** Where KVM works; the kernel is fetched only when the first instructions ran well. */
  @Override
  public boolean preferred() {
    try {
      check();
      return Accelerator.tiny(paths).kvm() && site().accelerator().kvm();
    } catch (ForkdException e) {
      LOG.info("event=vm_not_preferred reason=\"{}\"", e.getMessage());
      return false;
    }
  }

  @Override
  public Capabilities capabilities() {
    Site found = site();
    return new Capabilities(
        "vm",
        true,
        true,
        true,
        Map.of(
            "accelerator", found.accelerator().kvm() ? "kvm" : "tcg",
            "accelerator_reason", found.accelerator().reason(),
            "guest_kernel", found.kernel().version(),
            "qemu", paths.qemu().toString()));
  }

  private synchronized Site site() {
    if (closed) {
      throw new ForkdException(FailureKind.ENGINE, "the vm engine is closed");
    }
    if (site.isEmpty()) {
      check();
      prepareRunDir();
      GuestKernel kernel = GuestKernel.prepare(paths.cacheDir());
      Accelerator accelerator = Accelerator.probe(paths, kernel, paths.runDir());
      Groups groups = Groups.prepare(paths.wrapper(), paths.instance());
      Networks networks =
          new Networks(paths.networkProgram(), paths.networkRecords(), Networks.Card.TAP);
      site = Optional.of(new Site(paths, kernel, accelerator, starter, groups, networks, numbers));
    }
    return site.get();
  }

  @Override
  public void check() {
    if (Proc.effectiveUid() != 0) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "the vm engine needs root to give every QEMU a user of its own; start the daemon with"
              + " sudo");
    }
    for (Path needed : List.of(paths.qemu(), paths.wrapper(), paths.init())) {
      if (!Files.isExecutable(needed)) {
        throw new ForkdException(
            FailureKind.UNSUPPORTED,
            "the vm engine needs " + needed + "; run scripts/setup.sh vm and make build");
      }
    }
  }

  private void prepareRunDir() {
    try {
      FileTree.delete(paths.runDir());
      Files.createDirectories(paths.runDir());
      Files.setPosixFilePermissions(paths.runDir(), PosixFilePermissions.fromString("rwx------"));
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "preparing " + paths.runDir() + ": " + e).thrown(e);
    }
  }

  @Override
  public Template warm(WarmPlan plan, Consumer<String> log) {
    Site here = site();
    List<Path> layers = images.prepare(plan.image());
    Machine machine =
        new Machine(
            here.accelerator().kvm(),
            cpus(plan.limits()),
            memoryMib(plan.limits()),
            layers.size(),
            plan.network());
    String tag = plan.tag().text();
    String number = "t" + numbers.incrementAndGet();
    String name = number + "-" + tag.substring(0, Math.min(TAG_IN_NAME, tag.length()));
    Path dir = paths.runDir().resolve(number);
    try {
      Files.createDirectory(dir);
      try {
        Supplier<Warming> warming = () -> new Warming(here, plan, name, dir, machine, layers);
        return live.add(new VmTemplate(here, Setting.of(plan), frozen(warming, log), live));
      } catch (ForkdException | IOException e) {
        FileTree.delete(dir);
        throw e;
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "warming " + tag + ": " + e).thrown(e);
    }
  }

  /** A kernel that boots while the host is very busy may lose its timer and stand still. */
  private static Frozen frozen(Supplier<Warming> fresh, Consumer<String> log) throws IOException {
    Warming first = fresh.get();
    try {
      return first.freeze(FIRST_BOOT, log);
    } catch (ForkdException e) {
      if (first.hasBooted() || e.kind() != FailureKind.TIMEOUT) {
        throw e;
      }
      LOG.warn("event=boot_again reason=\"{}\"", e.getMessage());
      return fresh.get().freeze(Warming.BOOT, log);
    }
  }

  /** As many processors as the limit lets it use; one where there is no limit. */
  static int cpus(Limits limits) {
    return Math.clamp((limits.cpuMillis() + MILLIS - 1) / MILLIS, 1, MAX_CPUS);
  }

  /**
   * Room for what the limits allow. Files that are written are in RAM, and a memory limit counts
   * them; where there is none they need room beside the programs. RAM costs nothing until it is
   * touched.
   */
  static int memoryMib(Limits limits) {
    long bytes =
        limits.memoryBytes() != 0
            ? limits.memoryBytes() + (BESIDE_LIMIT_MIB << MIB_BITS)
            : (LEAST_MEMORY_MIB << MIB_BITS)
                + limits.diskBytes()
                + limits.tmpBytes()
                + limits.shmBytes();
    return (int) Math.clamp(bytes >> MIB_BITS, LEAST_MEMORY_MIB, MAX_MEMORY_MIB);
  }

  @Override
  public Template restore(RestorePlan plan) {
    Site here = site();
    BranchFiles files = new BranchFiles(plan.chain().getLast());
    BranchFiles.Manifest manifest = files.read();
    List<Path> layers = images.prepare(plan.image());
    Machine machine = manifest.machine();
    Machine now = machine.on(here.accelerator().kvm(), layers.size());
    Stamp stamp = Stamp.of(paths, now, here.kernel(), layers);
    new Stamp(manifest.stamp()).checkRestored(stamp, plan.tag().text());
    Setting setting = Setting.of(plan, manifest.hasRuntime());
    try {
      List<PageFile> pages = files.check(paths.wrapper(), manifest);
      return new SnapshotWriting(here, setting, live)
          .reopen(now, layers, stamp, manifest.report(), files, pages);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "restoring " + plan.tag() + ": " + e).thrown(e);
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    live.close();
    site.ifPresent(this::leave);
    starter.shutdown();
  }

  /** The directories are gone when all is well: {@link #recover} looks for them. */
  private void leave(Site found) {
    found.networks().close();
    found.groups().close();
    try {
      FileTree.delete(paths.runDir());
      FileTree.delete(paths.networkRecords());
    } catch (IOException e) {
      LOG.warn("event=vm_directories_left error=\"{}\"", e.toString());
    }
  }
}
