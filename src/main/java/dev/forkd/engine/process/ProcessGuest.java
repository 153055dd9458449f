package dev.forkd.engine.process;

import dev.forkd.agent.AgentConnection;
import dev.forkd.agent.AgentListener;
import dev.forkd.agent.AgentSettings;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.MemoryWatch;
import dev.forkd.engine.Wire;
import dev.forkd.engine.network.NetworkWire;
import dev.forkd.engine.network.Networks;
import dev.forkd.frame.Fields;
import dev.forkd.host.MemoryGroup;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxFiles;
import dev.forkd.model.SandboxId;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A sandbox of the process engine: its agent's connection, and what the launcher tells of it. */
final class ProcessGuest implements Guest, AgentListener {
  private static final Logger LOG = LoggerFactory.getLogger(ProcessGuest.class);

  /** The launcher's word comes over another pipe than the agent's end and may be later. */
  private static final Duration NEWS_WAIT = Duration.ofMillis(800);

  private final SandboxId id;
  private final long pid;
  private final Fate fate;
  private final Consumer<ProcessGuest> destroy;
  private final AgentConnection agent;
  private final MemoryWatch memory;
  private final Branching branching;
  private final MemoryGroup group;
  private final NetworkWire wire;
  private boolean closed;

  /**
   * Connects to the agent of a sandbox that the launcher has made.
   *
   * @param destroy makes the launcher end the sandbox; returns when it is gone
   * @param memory tells when memory was what ended a process in it
   * @param branching makes a template of it
   * @param networks where it can be given one from
   */
  ProcessGuest(
      SandboxId id,
      long pid,
      Fate fate,
      Consumer<ProcessGuest> destroy,
      MemoryWatch memory,
      Branching branching,
      Supplier<Networks> networks,
      Path socket,
      AgentSettings settings,
      Duration deadline) {
    this.id = id;
    this.pid = pid;
    this.fate = fate;
    this.destroy = destroy;
    this.memory = memory;
    this.branching = branching;
    this.group = new MemoryGroup(pid, "s-" + id);
    this.wire = NetworkWire.loose(networks, id, pid);
    this.agent = AgentConnection.open(socket, settings, this, deadline);
  }

  @Override
  public SandboxId id() {
    return id;
  }

  @Override
  public long pid() {
    return pid;
  }

  @Override
  public Wire wire() {
    return wire;
  }

  @Override
  public OptionalLong memoryUsed() {
    return group.used();
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

  /** Says how the runtime ended instead of that it is not there. */
  private <T> T inRuntime(String verb, Supplier<T> request) {
    if (agent.runtime() == Pong.RuntimeState.NONE) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "sandbox "
              + id
              + ": "
              + verb
              + " needs a warm runtime, and its recipe has none; use exec");
    }
    try {
      return request.get();
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.ENGINE || agent.runtime() != Pong.RuntimeState.ENDED) {
        throw e;
      }
      throw fate.runtimeEndWithin(NEWS_WAIT).orElse(e.failure()).thrown(e);
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
  public SandboxFiles files() {
    return agent.files();
  }

  @Override
  public Branch branch(BranchPlan plan) {
    return inRuntime("branch", () -> branching.take(agent, plan));
  }

  @Override
  public CompletionStage<String> ended() {
    return fate.ended().minimalCompletionStage();
  }

  private void destroyUnseen() {
    try {
      destroy.accept(this);
    } catch (ForkdException e) {
      LOG.warn("event=destroy_failed sandbox={} reason=\"{}\"", id, e.getMessage());
    }
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      fate.expectEnd();
      agent.close();
      destroy.accept(this);
      wire.close();
      closed = true;
    }
  }

  /** Why it is not ready though its agent answers. */
  Failure runtimeFailure(Pong.RuntimeState told) {
    String end = agent.runtimeEnd(NEWS_WAIT);
    // The launcher knows the status, the agent what the runtime itself said last.
    String last = fate.runtimeEndWithin(NEWS_WAIT).map(Failure::message).orElse("");
    String what = last.isEmpty() ? "its runtime is " + told + " instead of serving" : last;
    return new Failure(
        FailureKind.ENGINE, "sandbox " + id + ": " + what + (end.isEmpty() ? "" : ": " + end));
  }

  /** Lets go of a sandbox that somebody else destroys. */
  void disconnect() {
    fate.expectEnd();
    agent.close();
  }

  @Override
  public void runtimeEnded(Fields event) {
    // The launcher, who waits for the runtime, tells the same and knows whether memory ran out.
  }

  @Override
  public Failure lost(Failure reason, boolean byPeer) {
    Optional<String> news = byPeer ? fate.endWithin(NEWS_WAIT) : Optional.empty();
    if (news.isEmpty()) {
      // Nobody can talk to it any more, so it must not go on running unseen.
      Thread.ofVirtual().name("destroy-" + id).start(this::destroyUnseen);
    }
    String sentence = news.orElse(reason.message());
    fate.tellEnded(sentence);
    return new Failure(FailureKind.ENGINE, sentence);
  }
}
