package dev.forkd.service;

import dev.forkd.model.CompletedProgram;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.EvalResult;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.OpenedFiles;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.Recipe;
import dev.forkd.model.Request;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import java.math.BigDecimal;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Runs code in sandboxes: programs, warm or cold, and evals. */
final class Runs {
  private static final Logger LOG = LoggerFactory.getLogger(Runs.class);
  private static final Duration PING_DEADLINE = Duration.ofSeconds(10);

  /** What the agent's own clock, its grace and the way back may take beyond a timeout. */
  private static final Duration MARGIN = Duration.ofSeconds(15);

  /** The longest that any program may run. */
  private static final Duration LONGEST = Duration.ofDays(1);

  private final Sandboxes sandboxes;
  private final Programs programs;
  private final DetachedPrograms detached;
  private final InstantSource clock;
  private final Metrics metrics;

  Runs(
      Sandboxes sandboxes,
      Programs programs,
      DetachedPrograms detached,
      InstantSource clock,
      Metrics metrics) {
    this.sandboxes = sandboxes;
    this.programs = programs;
    this.detached = detached;
    this.clock = clock;
    this.metrics = metrics;
  }

  Pong ping(Request.Ping request) {
    return sandboxes.running(request.id()).guest().ping(PING_DEADLINE);
  }

  EvalResult eval(Request.Eval request) {
    long began = System.nanoTime();
    Sandbox.Running sandbox = sandboxes.running(request.id());
    try (var _ = sandbox.lifetime().use()) {
      return sandbox.guest().eval(request.code(), request.timeout());
    } finally {
      metrics.ran("eval", Durations.secondsSince(began));
    }
  }

  OpenedFiles files(SandboxId id) {
    Sandbox.Running sandbox = sandboxes.running(id);
    return new OpenedFiles(sandbox.guest().files(), sandbox.lifetime().use()::close);
  }

  RunningProgram find(Request.FindProgram request) {
    sandboxes.running(request.id());
    return programs.find(request.id(), request.program());
  }

  /** Starts a program; the caller closes it. */
  StartedProgram run(Request.Run request) {
    return start(request).program();
  }

  /** Starts a program that goes on without its client. */
  DetachedProgram detach(Request.Detach request) {
    Request.Run run = new Request.Run(request.id(), request.program(), request.warm());
    DetachedProgram kept =
        detached.keep(request.id(), start(run).program(), request.program(), clock.millis());
    try {
      sandboxes.running(request.id());
    } catch (ForkdException e) {
      detached.forget(request.id()); // it ended before it could be known that it has this one
      throw e;
    }
    return kept;
  }

  /** The detached programs of a sandbox that runs. */
  DetachedPrograms detachedIn(SandboxId id) {
    sandboxes.running(id);
    return detached;
  }

  /**
   * Connects to a port on a sandbox's loopback; the caller closes it.
   *
   * @throws ForkdException UNREACHABLE when nothing listens there
   */
  StartedProgram connect(Request.Connect request) {
    Sandbox.Running sandbox = sandboxes.running(request.id());
    programs.checkRoom();
    ProgramSpec.Program program = new ProgramSpec.Program.Connect(request.port());
    ProgramSpec spec = new ProgramSpec(program, Map.of(), "/", "", true, Duration.ZERO);
    try {
      return add(sandbox, sandbox.guest().run(spec), false);
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.NOT_FOUND) {
        throw e;
      }
      throw new Failure(
              FailureKind.UNREACHABLE,
              "nothing listens on port %d of sandbox %s".formatted(request.port(), request.id()))
          .thrown(e);
    }
  }

  /**
   * A program on its way.
   *
   * @param error why it could not be started; "" when it was
   */
  private record Start(StartedProgram program, String error) {}

  private Start start(Request.Run request) {
    Sandbox.Running sandbox = sandboxes.running(request.id());
    programs.checkRoom();
    return switch (choose(sandbox, request.program(), request.warm())) {
      case WarmExec.Choice.Warm(var program) -> {
        RunningProgram running = sandbox.guest().run(with(request.program(), program));
        yield new Start(add(sandbox, running, true), "");
      }
      case WarmExec.Choice.Cold _ -> cold(sandbox, request);
    };
  }

  private Start cold(Sandbox.Running sandbox, Request.Run request) {
    try {
      RunningProgram running = sandbox.guest().run(coldSpec(request));
      return new Start(add(sandbox, running, false), "");
    } catch (ForkdException e) {
      RunningProgram unstarted = UnstartedProgram.of(e).orElseThrow(() -> e);
      return new Start(add(sandbox, unstarted, false), e.failure().message());
    }
  }

  private StartedProgram add(Sandbox.Running sandbox, RunningProgram program, boolean warm) {
    return programs.add(sandbox.row().id(), program, warm, sandbox.lifetime().use());
  }

  /** Asked for a new process, the interpreters that the program starts are new ones, too. */
  private static ProgramSpec coldSpec(Request.Run request) {
    ProgramSpec spec = request.program();
    if (request.warm() != Request.WarmUse.NEVER) {
      return spec;
    }
    Map<String, String> env = new HashMap<>(spec.env());
    env.putIfAbsent("FORKD_COLD", "1");
    return new ProgramSpec(
        spec.program(),
        env,
        spec.cwd(),
        spec.user(),
        spec.stdin(),
        spec.terminal(),
        spec.timeout());
  }

  private static WarmExec.Choice choose(
      Sandbox.Running sandbox, ProgramSpec spec, Request.WarmUse use) {
    boolean call = spec.program().isCall();
    if (use == Request.WarmUse.NEVER && !call) {
      return new WarmExec.Choice.Cold("asked for a new process");
    }
    Optional<Recipe.RuntimeSpec> runtime = sandbox.template().recipe().runtime();
    if (call && runtime.isEmpty()) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "snapshot " + sandbox.row().tag() + " has no warm runtime to call into: use exec");
    }
    WarmExec.Choice choice =
        runtime
            .map(warm -> WarmExec.choose(spec, warm.interpreter()))
            .orElseGet(() -> new WarmExec.Choice.Cold("the recipe has no runtime"));
    return switch (use) {
      case REQUIRED -> required(choice);
      case AUTO, NEVER ->
          call || sandbox.guest().runtime() == Pong.RuntimeState.READY
              ? choice
              : new WarmExec.Choice.Cold("the runtime is not ready");
    };
  }

  private static WarmExec.Choice required(WarmExec.Choice choice) {
    return switch (choice) {
      case WarmExec.Choice.Warm warm -> warm;
      case WarmExec.Choice.Cold(var why) ->
          throw new ForkdException(
              FailureKind.INVALID,
              "cannot run warm: " + why + "; leave `warm` out to run it in a new process");
    };
  }

  private static ProgramSpec with(ProgramSpec spec, ProgramSpec.Program program) {
    return new ProgramSpec(
        program,
        spec.env(),
        spec.cwd(),
        spec.user(),
        spec.stdin(),
        spec.terminal(),
        spec.timeout());
  }

  /** Runs a program to its end, with its input given and its output collected. */
  CompletedProgram runToEnd(Request.RunToEnd request) {
    long began = System.nanoTime();
    ProgramSpec spec = request.program();
    Start start = start(new Request.Run(request.id(), spec, request.warm()));
    try (StartedProgram started = start.program()) {
      if (spec.stdin()) {
        Thread.startVirtualThread(() -> feed(started.program(), request.stdin()));
      }
      return collect(started, spec.timeout(), start.error());
    } finally {
      boolean call = spec.program().isCall();
      metrics.ran(call ? "call" : "exec", Durations.secondsSince(began));
    }
  }

  private static void feed(RunningProgram program, byte[] input) {
    try {
      program.write(input, 0, input.length);
      program.closeInput();
    } catch (ForkdException e) {
      // A program may end without reading its input, as `head -1` does.
      LOG.debug("event=program_input_unread reason=\"{}\"", e.getMessage());
    }
  }

  private static CompletedProgram collect(
      StartedProgram started, Duration timeout, String startError) {
    Duration allowed = timeout.isZero() ? LONGEST : timeout;
    long deadline = System.nanoTime() + allowed.plus(MARGIN).toNanos();
    CappedOutput out = new CappedOutput();
    CappedOutput err = new CappedOutput();
    while (true) {
      Duration left = Duration.ofNanos(Math.max(0, deadline - System.nanoTime()));
      switch (started.program().next(left)) {
        case ProgramEvent.Output(var stream, var bytes) -> (stream == 2 ? err : out).add(bytes);
        case ProgramEvent.Exited(var status) -> {
          return new CompletedProgram(
              out.text(),
              err.text(),
              status,
              out.truncated() || err.truncated(),
              started.warm(),
              trouble(status, timeout, startError));
        }
      }
    }
  }

  private static String trouble(ExitStatus status, Duration timeout, String startError) {
    if (status.outOfMemory()) {
      return "killed: out of memory; the sandbox's memory limit is smaller than what it needed";
    }
    return status.timedOut() ? timedOut(timeout) : startError;
  }

  private static String timedOut(Duration timeout) {
    String seconds = BigDecimal.valueOf(timeout.toMillis(), 3).stripTrailingZeros().toPlainString();
    return "timed out after " + seconds + " s; the process group was ended";
  }
}
