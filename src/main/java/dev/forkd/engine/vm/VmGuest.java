package dev.forkd.engine.vm;

import dev.forkd.agent.AgentConnection;
import dev.forkd.agent.AgentListener;
import dev.forkd.agent.AgentSettings;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.MemoryWatch;
import dev.forkd.engine.Wire;
import dev.forkd.engine.network.NetworkWire;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.host.Deadline;
import dev.forkd.host.MemoryGroup;
import dev.forkd.host.Signals;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxFiles;
import dev.forkd.model.SandboxId;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A sandbox in a virtual machine: its QEMU and the connection to its agent. */
final class VmGuest implements Guest, AgentListener {
  private static final Logger LOG = LoggerFactory.getLogger(VmGuest.class);

  /** A process's status, or an event, may come a moment later than the end of a stream. */
  private static final Duration NEWS_WAIT = Duration.ofMillis(800);

  private static final Duration AGENT_WAIT = Duration.ofSeconds(10);
  private static final Duration QEMU_WAIT = Duration.ofSeconds(10);
  private static final int MAX_SIGNAL = 64;

  private final SandboxId id;
  private final Started started;
  private final QemuProcess qemu;
  private final Branching branching;
  private final NetworkWire wire;
  private final ReentrantLock branchTurn = new ReentrantLock();
  private final Consumer<VmGuest> onClose;
  private final CompletableFuture<String> ended = new CompletableFuture<>();
  private final CompletableFuture<Failure> runtimeEnd = new CompletableFuture<>();
  private final AgentConnection agent;
  private final MemoryGroup group;
  private final MemoryWatch memory;
  private volatile Supplier<Fields> identity = () -> Fields.NONE;
  private volatile boolean expected;
  private boolean closed;

  /** Greets the agent; {@code started} is owned from here on, also on failure. */
  VmGuest(
      SandboxId id,
      Started started,
      AgentSettings settings,
      Duration deadline,
      Branching branching,
      Network network,
      Consumer<VmGuest> onClose) {
    this.id = id;
    this.started = started;
    this.qemu = started.qemu();
    this.branching = branching;
    this.wire =
        NetworkWire.fixed(
            () -> started.site().networks(), id, started.network().orElse(""), network);
    this.onClose = onClose;
    this.group = new MemoryGroup(qemu.pid(), id.text());
    this.memory = new MemoryWatch(id, this::oomKills);
    try {
      this.agent = AgentConnection.resumed(started.agent(), settings, this, deadline);
    } catch (ForkdException e) {
      started.close();
      throw e;
    }
  }

  /** Makes it a machine of its own, and waits until that is so. */
  void identify(Supplier<Fields> made, Duration deadline) {
    identity = made;
    agent.identify(made.get(), deadline);
  }

  @Override
  public void park() {
    started.monitor().run("stop", QEMU_WAIT);
  }

  /** Its clock stood still, and whoever gets it must share no random number with its past. */
  @Override
  public Pong.RuntimeState wake(Duration deadline) {
    Deadline end = Deadline.after(deadline);
    Laps laps = new Laps();
    started.monitor().run("cont", end.left());
    laps.mark("cont");
    agent.identify(identity.get(), end.left());
    laps.mark("identity");
    LOG.info("event=woken name={} {}", id, laps);
    return agent.runtime();
  }

  @Override
  public SandboxId id() {
    return id;
  }

  @Override
  public long pid() {
    return qemu.pid();
  }

  /** Its own pages, those of QEMU, and translated code. */
  @Override
  public OptionalLong memoryUsed() {
    return group.used();
  }

  @Override
  public Wire wire() {
    return wire;
  }

  @Override
  public Pong.RuntimeState runtime() {
    return agent.runtime();
  }

  @Override
  public Pong ping(Duration deadline) {
    return agent.ping(deadline);
  }

  @Override
  public RunningProgram run(ProgramSpec spec) {
    return memory.watch(
        spec.program().isCall() ? inRuntime("call", () -> agent.run(spec)) : agent.run(spec));
  }

  @Override
  public EvalResult eval(String code, Duration timeout) {
    return memory.explain(inRuntime("eval", () -> agent.eval(code, timeout)));
  }

  private long oomKills() {
    return agent.oomKills(AGENT_WAIT);
  }

  private <T> T inRuntime(String verb, Supplier<T> request) {
    if (agent.runtime() == Pong.RuntimeState.NONE) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "sandbox %s: %s needs a warm runtime, and its recipe has none; use exec"
              .formatted(id, verb));
    }
    try {
      return request.get();
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.ENGINE || ended.isDone() || expected) {
        throw e;
      }
      throw runtimeEnd
          .completeOnTimeout(e.failure(), NEWS_WAIT.toMillis(), TimeUnit.MILLISECONDS)
          .join()
          .thrown(e);
    }
  }

  @Override
  public long readFile(String path, long limit, OutputStream to, Duration deadline) {
    return agent.readFile(path, limit, to, deadline);
  }

  @Override
  public void writeFile(String path, int mode, InputStream from, Duration deadline) {
    agent.writeFile(path, mode, from, deadline);
  }

  @Override
  public Branch branch(BranchPlan plan) {
    branchTurn.lock();
    try {
      return branching.take(started, agent, plan);
    } catch (ForkdException e) {
      Failure why = e.failure();
      throw new Failure(why.kind(), "sandbox " + id + ": " + why.message(), why.detail()).thrown(e);
    } finally {
      branchTurn.unlock();
    }
  }

  @Override
  public SandboxFiles files() {
    return agent.files();
  }

  @Override
  public CompletionStage<String> ended() {
    return ended.minimalCompletionStage();
  }

  @Override
  public void runtimeEnded(Fields event) {
    int signal = (int) event.integer(FieldKey.SIGNAL, 0, 0, MAX_SIGNAL);
    String how =
        signal != 0
            ? "was killed by " + Signals.name(signal)
            : "ended with exit code " + event.integer(FieldKey.EXIT_CODE, 0, 0, 255);
    runtimeEnd.complete(
        new Failure(
            FailureKind.ENGINE,
            "the runtime of sandbox " + id + " " + how + "; only exec still works"));
  }

  @Override
  public Failure lost(Failure reason, boolean byPeer) {
    Optional<String> how = byPeer ? qemu.end(NEWS_WAIT) : Optional.empty();
    String sentence =
        how.map(h -> "sandbox " + id + " " + h + started.lastWords()).orElse(reason.message());
    if (how.isEmpty()) {
      // Nobody can talk to it any more, so it must not go on running unseen.
      Thread.ofVirtual().name("destroy-" + id).start(qemu::close);
    }
    LOG.info("event=sandbox_ended name={} reason=\"{}\"", id, sentence);
    if (!expected) {
      ended.complete(sentence);
    }
    return new Failure(FailureKind.ENGINE, sentence);
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      expected = true;
      agent.close();
      wire.close();
      started.close();
      onClose.accept(this);
      closed = true;
    }
  }
}
