package dev.forkd.engine.process;

import dev.forkd.agent.AgentSettings;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.MemoryWatch;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.host.Proc;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A warmed interpreter below the launcher, and the way to fork it. */
final class ProcessTemplate implements Template {
  private static final Logger LOG = LoggerFactory.getLogger(ProcessTemplate.class);

  /** How much longer than the launcher itself we wait for it. */
  private static final Duration MARGIN = Duration.ofSeconds(5);

  private static final Duration USAGE_WAIT = Duration.ofSeconds(2);

  private final String name;
  private final WarmPlan plan;
  private final Surroundings around;
  private final LauncherClient launcher;
  private final Family family;
  private final Fate fate;
  private final String report;
  private final Runnable onClose;
  private boolean closed;

  ProcessTemplate(
      String name, WarmPlan plan, Surroundings around, Fate fate, String report, Runnable onClose) {
    this.name = name;
    this.plan = plan;
    this.around = around;
    this.launcher = around.launcher();
    this.family = around.family();
    this.fate = fate;
    this.report = report;
    this.onClose = onClose;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String report() {
    return report;
  }

  @Override
  public CompletionStage<String> ended() {
    return fate.ended().minimalCompletionStage();
  }

  @Override
  public List<ForkOutcome> fork(ForkPlan fork) {
    long start = System.nanoTime();
    Deadline deadline = Deadline.after(fork.deadline());
    List<String> names = fork.children().stream().map(child -> child.id().text()).toList();
    List<Fate> fates = family.addSandboxes(names, fork.limits().memoryBytes());
    List<ForkOutcome> outcomes = new ArrayList<>();
    try {
      List<Fields> made = launch(fork, names.size());
      outcomes.addAll(reach(fork, made, fates, start, deadline));
      return List.copyOf(outcomes);
    } catch (ForkdException e) {
      destroy(names);
      throw e;
    } finally {
      LOG.info(
          "event=forked template={} n={} answered={} millis={}",
          name,
          names.size(),
          outcomes.stream().filter(ForkOutcome.Forked.class::isInstance).count(),
          (System.nanoTime() - start) / 1_000_000);
    }
  }

  private List<Fields> launch(ForkPlan fork, int count) {
    Fields forked =
        launcher.call(
            FrameType.L_FORK,
            TemplateFields.fork(name, fork),
            fork.deadline().plus(MARGIN),
            "forking " + plan.tag());
    List<Fields> made = forked.nested(FieldKey.OUTCOME);
    if (made.size() != count) {
      throw new ForkdException(
          FailureKind.ENGINE,
          "the launcher told " + made.size() + " outcomes for " + count + " children");
    }
    return made;
  }

  /** Asks every child that was made to answer, all at the same time. */
  private List<ForkOutcome> reach(
      ForkPlan fork, List<Fields> made, List<Fate> fates, long start, Deadline deadline) {
    List<Future<ForkOutcome>> asked = new ArrayList<>();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < made.size(); i++) {
        SandboxId id = fork.children().get(i).id();
        Fields outcome = made.get(i);
        Fate child = fates.get(i);
        asked.add(threads.submit(() -> reachOne(id, outcome, child, start, deadline)));
      }
    }
    List<ForkOutcome> outcomes = asked.stream().map(ProcessTemplate::result).toList();
    List<String> failed =
        outcomes.stream()
            .filter(ForkOutcome.Failed.class::isInstance)
            .map(outcome -> outcome.id().text())
            .toList();
    if (!failed.isEmpty()) {
      destroy(failed);
    }
    return outcomes;
  }

  private ForkOutcome reachOne(
      SandboxId id, Fields made, Fate fate, long start, Deadline deadline) {
    if (made.has(FieldKey.KIND)) {
      Failure failure = ErrorFrame.failure("sandbox " + id, made);
      return new ForkOutcome.Failed(id, failure);
    }
    try {
      ProcessGuest guest = connect(id, made, fate, deadline);
      return firstAnswer(guest, start, deadline);
    } catch (ForkdException e) {
      return new ForkOutcome.Failed(id, e.failure());
    }
  }

  private ProcessGuest connect(SandboxId id, Fields made, Fate fate, Deadline deadline) {
    String child = id.text();
    AgentSettings settings =
        new AgentSettings(
            child, Environment.ofPrograms(plan, TemplateFields.hostname(child)), plan.workdir());
    return new ProcessGuest(
        id,
        made.integer(FieldKey.PID, 0, 1, Integer.MAX_VALUE),
        fate,
        guest -> destroy(List.of(guest.id().text())),
        new MemoryWatch(id, () -> oomKills(child)),
        new Branching(around, plan, id),
        around.networks(),
        around.paths().socketOf(child),
        settings,
        deadline.left());
  }

  @Override
  public Guest adopt(SandboxId id, long pid, long memoryLimit, Duration patience) {
    Deadline deadline = Deadline.after(patience);
    Fate child = family.addSandboxes(List.of(id.text()), memoryLimit).getFirst();
    Fields made = Fields.builder().integer(FieldKey.PID, pid).build();
    try {
      if (Proc.hasNetwork(pid)) {
        throw new ForkdException(
            FailureKind.UNSUPPORTED,
            "sandbox " + id + " has a network, which ended with its daemon");
      }
      ProcessGuest guest = connect(id, made, child, deadline);
      guest.ping(deadline.left());
      return guest;
    } catch (ForkdException e) {
      destroy(List.of(id.text()));
      throw e;
    }
  }

  @Override
  public void end(Collection<SandboxId> ids) {
    destroy(ids.stream().map(SandboxId::text).toList());
  }

  private long oomKills(String sandbox) {
    Fields name = Fields.builder().text(FieldKey.NAME, sandbox).build();
    return launcher
        .call(FrameType.L_USAGE, name, USAGE_WAIT, "asking for the memory use of " + sandbox)
        .integer(FieldKey.OOM_KILLS, 0, 0, Long.MAX_VALUE);
  }

  private ForkOutcome firstAnswer(ProcessGuest guest, long start, Deadline deadline) {
    try {
      Pong pong = guest.ping(deadline.left());
      Pong.RuntimeState wanted =
          plan.runtime().isPresent() ? Pong.RuntimeState.READY : Pong.RuntimeState.NONE;
      if (pong.runtime() != wanted) {
        throw guest.runtimeFailure(pong.runtime()).thrown();
      }
      Duration ready = Duration.ofNanos(System.nanoTime() - start);
      return new ForkOutcome.Forked(guest.id(), guest, ready);
    } catch (ForkdException e) {
      guest.disconnect();
      throw e;
    }
  }

  private static ForkOutcome result(Future<ForkOutcome> future) {
    try {
      return future.get();
    } catch (ExecutionException | InterruptedException e) {
      throw new Failure(FailureKind.INTERNAL, "reaching a forked child failed: " + e).thrown(e);
    }
  }

  /** Ends sandboxes; returns when they are gone, with or without the launcher. */
  private void destroy(Collection<String> names) {
    Fields fields = Fields.builder().texts(FieldKey.NAME, names).build();
    launcher.end(FrameType.L_DESTROY, fields, "destroying " + names);
    family.removeSandboxes(names);
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    fate.expectEnd();
    Fields fields = Fields.builder().text(FieldKey.NAME, name).build();
    launcher.end(FrameType.L_DISCARD, fields, "ending template " + name);
    closed = true;
    family.removeTemplate(name);
    onClose.run();
    LOG.info("event=template_closed template={}", name);
  }
}
