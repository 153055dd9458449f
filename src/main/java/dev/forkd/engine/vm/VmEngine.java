package dev.forkd.engine.vm;

import dev.forkd.engine.Capabilities;
import dev.forkd.engine.Engine;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.host.Proc;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/** Engine of QEMU microVMs. Looks for its means when it is first used. */
public final class VmEngine implements Engine {
  private static final int LEAST_MEMORY_MIB = 512;
  private static final int BESIDE_LIMIT_MIB = 256;
  private static final int MIB_BITS = 20;
  private static final int TAG_IN_NAME = 12;

  private final VmPaths paths;
  private final LayerImages images;
  private final ExecutorService starter =
      Executors.newSingleThreadExecutor(
          Thread.ofPlatform().daemon().name("qemu-starter").factory());
  private final AtomicLong numbers = new AtomicLong();
  private final Set<SandboxId> ids = ConcurrentHashMap.newKeySet();
  private final Set<Template> templates = ConcurrentHashMap.newKeySet();
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
      GuestKernel kernel = GuestKernel.prepare(paths.cacheDir());
      Accelerator accelerator = Accelerator.probe(paths, kernel, paths.runDir());
      site = Optional.of(new Site(paths, kernel, accelerator, starter, numbers));
    }
    return site.get();
  }

  private void check() {
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
    try {
      GuestKernel.remove(paths.runDir());
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
    Machine machine = new Machine(here.accelerator().kvm(), memoryMib(plan), layers.size());
    String tag = plan.tag().text();
    String number = "t" + numbers.incrementAndGet();
    String name = number + "-" + tag.substring(0, Math.min(TAG_IN_NAME, tag.length()));
    Path dir = paths.runDir().resolve(number);
    try {
      Files.createDirectory(dir);
      try {
        Warming warming = new Warming(here, plan, name, dir, machine, layers);
        VmTemplate template =
            new VmTemplate(here, Setting.of(plan), warming.freeze(log), ids, templates::remove);
        templates.add(template);
        return template;
      } catch (ForkdException | IOException e) {
        GuestKernel.remove(dir);
        throw e;
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "warming " + tag + ": " + e).thrown(e);
    }
  }

  private static int memoryMib(WarmPlan plan) {
    long limit = plan.limits().memoryBytes() >> MIB_BITS;
    return (int) Math.max(LEAST_MEMORY_MIB, limit == 0 ? 0 : limit + BESIDE_LIMIT_MIB);
  }

  @Override
  public synchronized void close() {
    closed = true;
    templates.forEach(Template::close);
    templates.clear();
    starter.shutdown();
  }
}
