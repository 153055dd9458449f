package dev.forkd.service;

import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Wire;
import dev.forkd.model.EvalResult;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/** A guest of {@link FakeEngine}; its commands are those of {@link FakeProgram}. */
public final class FakeGuest implements Guest {
  private final SandboxId id;
  private final long pid;
  private final Function<BranchPlan, Branch> brancher;
  private final Map<Object, FakeGuest> siblings;
  private final CompletableFuture<String> ended = new CompletableFuture<>();
  private final List<ProgramSpec> specs = new CopyOnWriteArrayList<>();
  private final List<FakeProgram> programs = new CopyOnWriteArrayList<>();
  private final FakeWire wire = new FakeWire();
  private final FakeFiles files = new FakeFiles();
  private volatile Pong.RuntimeState runtime;
  private volatile boolean closed;
  private volatile boolean deaf;
  private volatile boolean unkillable;
  private volatile OptionalLong memory = OptionalLong.empty();

  FakeGuest(
      SandboxId id,
      long pid,
      Pong.RuntimeState runtime,
      Map<Object, FakeGuest> siblings,
      Function<BranchPlan, Branch> brancher) {
    this.brancher = brancher;
    this.id = id;
    this.pid = pid;
    this.runtime = runtime;
    this.siblings = siblings;
    siblings.put(id, this);
  }

  @Override
  public Wire wire() {
    return wire;
  }

  /** Its control group counts so much. */
  public void use(long bytes) {
    memory = OptionalLong.of(bytes);
  }

  @Override
  public OptionalLong memoryUsed() {
    return memory;
  }

  /** It ends by itself. */
  public void end(String how) {
    siblings.remove(id);
    ended.complete(how);
  }

  /** Its runtime ends by itself. */
  public void endRuntime() {
    runtime = Pong.RuntimeState.ENDED;
  }

  /** It answers no ping any more. */
  public void goDeaf() {
    deaf = true;
  }

  /** Whether closing it fails. */
  public void unkillable(boolean value) {
    unkillable = value;
  }

  public boolean closed() {
    return closed;
  }

  /** What it was asked to run. */
  public List<ProgramSpec> specs() {
    return specs;
  }

  /** What it ran. */
  public List<FakeProgram> programs() {
    return programs;
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
  public Pong.RuntimeState runtime() {
    return runtime;
  }

  @Override
  public Pong ping(Duration deadline) {
    if (deaf) {
      throw new ForkdException(FailureKind.TIMEOUT, "sandbox " + id + " does not answer");
    }
    return new Pong(runtime, runtime == Pong.RuntimeState.NONE ? "{}" : FakeEngine.REPORT);
  }

  @Override
  public RunningProgram run(ProgramSpec spec) {
    specs.add(spec);
    if (spec.program() instanceof ProgramSpec.Program.Exec(var args)) {
      switch (args.getFirst()) {
        case "missing" ->
            throw new ForkdException(FailureKind.NOT_FOUND, "exec: missing: no such command");
        case "denied" ->
            throw new ForkdException(FailureKind.CONFLICT, "exec: denied: not executable");
        case "broken" -> throw new ForkdException(FailureKind.ENGINE, "the agent is gone");
        default -> {}
      }
    }
    FakeProgram program = new FakeProgram(spec);
    programs.add(program);
    return program;
  }

  @Override
  public EvalResult eval(String code, Duration timeout) {
    return switch (code) {
      case "boom" -> new EvalResult("", "", "", "NameError: boom", "Traceback ...", false, false);
      case "slow" ->
          throw new ForkdException(
              FailureKind.TIMEOUT, "eval timed out after " + timeout.toSeconds() + " s");
      case "print(1)" -> new EvalResult("", "1\n", "", "", "", false, false);
      default -> new EvalResult(code, "", "", "", "", false, false);
    };
  }

  @Override
  public long readFile(String path, long limit, OutputStream to, Duration deadline) {
    return 0; // every file of it is empty
  }

  @Override
  public void writeFile(String path, int mode, InputStream from, Duration deadline) {
    try {
      from.transferTo(OutputStream.nullOutputStream());
    } catch (IOException e) {
      throw new ForkdException(FailureKind.ENGINE, path + ": " + e);
    }
  }

  @Override
  public Branch branch(BranchPlan plan) {
    return brancher.apply(plan);
  }

  @Override
  public FakeFiles files() {
    return files;
  }

  @Override
  public CompletionStage<String> ended() {
    return ended;
  }

  @Override
  public void close() {
    if (unkillable) {
      throw new ForkdException(FailureKind.ENGINE, "sandbox " + id + " could not be ended");
    }
    closed = true;
    siblings.remove(id);
    programs.forEach(FakeProgram::close);
  }
}
