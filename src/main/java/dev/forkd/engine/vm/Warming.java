package dev.forkd.engine.vm;

import dev.forkd.agent.AgentConnection;
import dev.forkd.agent.AgentListener;
import dev.forkd.agent.AgentSettings;
import dev.forkd.engine.WarmPlan;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.host.Deadline;
import dev.forkd.host.Signals;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Boots a machine, waits for the warm-up in it, and freezes it. */
final class Warming implements AgentListener {
  private static final Logger LOG = LoggerFactory.getLogger(Warming.class);

  /** From the start of QEMU to the interpreter's first line; emulated on a busy host. */
  static final Duration BOOT = Duration.ofMinutes(3);

  /** A recipe's deadline is meant for a processor; translated code is so much slower. */
  private static final int EMULATED = 10;

  private static final Duration COMMAND = Duration.ofSeconds(30);
  private static final Duration NEWS_WAIT = Duration.ofSeconds(3);
  private static final Duration QUIT = Duration.ofSeconds(20);
  private static final int MAX_SIGNAL = 64;

  private final Site site;
  private final WarmPlan plan;
  private final String name;
  private final Path dir;
  private final Machine machine;
  private final List<Path> layers;
  private final long start = System.nanoTime();
  private boolean booted;
  private final CompletableFuture<Fields> runtimeEnd = new CompletableFuture<>();

  Warming(Site site, WarmPlan plan, String name, Path dir, Machine machine, List<Path> layers) {
    this.site = site;
    this.plan = plan;
    this.name = name;
    this.dir = dir;
    this.machine = machine;
    this.layers = layers;
  }

  /** Whether the agent in the machine has answered. */
  boolean hasBooted() {
    return booted;
  }

  /**
   * The frozen machine; nothing is left behind when this fails.
   *
   * @param patience with the boot, until the agent answers
   */
  Frozen freeze(Duration patience, Consumer<String> lines) throws IOException {
    Stamp stamp = Stamp.of(site.paths(), machine, site.kernel(), layers);
    GuestSpec.writeInitramfs(dir.resolve("initramfs"), site.paths(), site.kernel(), plan);
    TemplateMemory memory = new TemplateMemory(site.paths().wrapper(), machine.memoryMib());
    try {
      String report = bootAndSave(memory, patience, lines);
      memory.seal();
      Files.delete(dir.resolve("initramfs"));
      BaseFile base = new BaseFile(site.paths().wrapper(), machine.memoryBytes());
      return new Frozen(
          name, dir, machine, memory, List.of(), Optional.of(base), layers, stamp, report);
    } catch (ForkdException | IOException e) {
      memory.close();
      throw e;
    }
  }

  private String bootAndSave(TemplateMemory memory, Duration patience, Consumer<String> lines) {
    Deadline boot = Deadline.after(BOOT);
    try (Listener agents = new Listener(dir.resolve("agent"));
        Listener logs = new Listener(dir.resolve("log"));
        Listener monitors = new Listener(dir.resolve("qmp"));
        QemuProcess qemu = site.start(files(memory), arguments(), Path.of("/dev/null"))) {
      // In the order in which forkd-vm connects.
      var agentChannel = agents.accept(qemu, boot.left());
      var log = new WarmLog(logs.accept(qemu, boot.left()), lines);
      try (Monitor monitor = new Monitor(monitors.accept(qemu, boot.left()));
          AgentConnection agent = AgentConnection.over(agentChannel, settings(), this, patience)) {
        booted = true;
        long answered = System.nanoTime();
        String report = plan.runtime().isPresent() ? warm(agent, log, boot) : "{}";
        long warm = System.nanoTime();
        save(monitor);
        LOG.info(
            "event=warmed template={} accelerator={} boot_millis={} warm_millis={} save_millis={}",
            name,
            machine.kvm() ? "kvm" : "tcg",
            (answered - start) / 1_000_000,
            (warm - answered) / 1_000_000,
            (System.nanoTime() - warm) / 1_000_000);
        return report;
      } finally {
        // Before the caller is told: nothing of the warm-up is printed later.
        end(qemu, log);
      }
    } catch (ForkdException e) {
      throw about(e);
    }
  }

  private static void end(QemuProcess qemu, WarmLog log) {
    if (qemu.end(QUIT.dividedBy(20)).isEmpty()) {
      qemu.close();
    }
    try {
      log.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private List<String> files(TemplateMemory memory) {
    List<String> files = new ArrayList<>(machine.lent());
    files.add(Site.descriptor(Machine.AGENT_FD, 'c', dir.resolve("agent")));
    files.add(Site.descriptor(Machine.LOG_FD, 'c', dir.resolve("log")));
    files.add(Site.descriptor(Machine.MONITOR_FD, 'c', dir.resolve("qmp")));
    files.add(Site.descriptor(Machine.MEMORY_FD, 'w', memory.file()));
    files.add(Site.descriptor(Machine.CONSOLE_FD, 'a', dir.resolve("console")));
    files.add(Site.descriptor(Machine.STATE_FD, 'a', dir.resolve("state")));
    files.add(Site.descriptor(Machine.KERNEL_FD, 'r', site.kernel().image()));
    files.add(Site.descriptor(Machine.INITRAMFS_FD, 'r', dir.resolve("initramfs")));
    files.addAll(VmTemplate.disks(layers));
    return files;
  }

  private List<String> arguments() {
    String khz = Tool.run(List.of(site.paths().wrapper().toString(), "tsc"), COMMAND).strip();
    return machine.template(site.paths().qemu().toString(), site.label(name), Long.parseLong(khz));
  }

  private AgentSettings settings() {
    return new AgentSettings(name, Map.of(), "/");
  }

  private String warm(AgentConnection agent, WarmLog log, Deadline boot) {
    // One that ended before the agent was greeted is in the greeting, and no event follows.
    if (agent.runtime() != Pong.RuntimeState.ENDED) {
      awaitBegun(log, boot);
    }
    Pong pong = agent.ping(plan.warm().deadline().multipliedBy(machine.kvm() ? 1 : EMULATED));
    if (pong.runtime() != Pong.RuntimeState.READY) {
      throw failed(log);
    }
    return pong.report();
  }

  private void awaitBegun(WarmLog log, Deadline boot) {
    CompletableFuture<Object> begun = CompletableFuture.anyOf(log.started(), runtimeEnd);
    try {
      begun.get(boot.leftNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException | ExecutionException e) {
      throw new Failure(FailureKind.TIMEOUT, "its interpreter did not start", log.tail()).thrown(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.ENGINE, "interrupted").thrown(e);
    }
  }

  private ForkdException failed(WarmLog log) {
    Fields event =
        runtimeEnd
            .completeOnTimeout(Fields.NONE, NEWS_WAIT.toMillis(), TimeUnit.MILLISECONDS)
            .join();
    int signal = (int) event.integer(FieldKey.SIGNAL, 0, 0, MAX_SIGNAL);
    if (signal != 0) {
      String how = "the interpreter was killed by " + Signals.name(signal);
      return new Failure(FailureKind.ENGINE, how, log.tail()).thrown();
    }
    String why =
        log.failed()
            .completeOnTimeout("the interpreter ended", NEWS_WAIT.toMillis(), TimeUnit.MILLISECONDS)
            .join();
    return new Failure(FailureKind.INVALID, why, log.tail()).thrown();
  }

  private void save(Monitor monitor) {
    monitor.run("stop", COMMAND);
    monitor.saveDevices("/dev/fdset/" + Machine.STATE_FD, COMMAND);
    monitor.run("quit", COMMAND);
  }

  private ForkdException about(ForkdException e) {
    Failure why = e.failure();
    String detail = why.detail().isEmpty() ? console() : why.detail();
    String message = "warming " + plan.tag() + ": " + why.message();
    return new Failure(why.kind(), message, detail).thrown(e);
  }

  private String console() {
    try {
      return Files.readString(dir.resolve("console"));
    } catch (IOException e) {
      return "(no console: " + e.getMessage() + ")";
    }
  }

  @Override
  public void runtimeEnded(Fields event) {
    runtimeEnd.complete(event);
  }

  @Override
  public Failure lost(Failure reason, boolean byPeer) {
    runtimeEnd.complete(Fields.NONE);
    return reason;
  }
}
