package dev.forkd.agent;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.host.UnixSocket;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxFiles;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/** The conversation with the agent of one sandbox. Thread-safe; requests run side by side. */
public final class AgentConnection implements AutoCloseable {
  /** Between SIGTERM (or SIGINT for an eval) and SIGKILL when a program's own timeout passes. */
  static final Duration GRACE = Duration.ofSeconds(2);

  /** How much later than the agent's clock the host's own deadline strikes. */
  static final Duration MARGIN = Duration.ofSeconds(10);

  /** Captured output of an eval, bytes per stream: two of them and a result fit into one frame. */
  private static final int EVAL_OUTPUT_MAX = 256 * 1024;

  private static final int PID_MAX = 1 << 22;

  private final AgentSettings settings;
  private final Multiplexer frames;
  private final AtomicLong evalBacklogMillis = new AtomicLong();
  private volatile Pong.RuntimeState runtime = Pong.RuntimeState.NONE;

  private AgentConnection(
      AgentSettings settings,
      SocketChannel channel,
      AgentListener listener,
      Duration patience,
      boolean stale) {
    this.settings = settings;
    this.frames =
        new Multiplexer(settings.name(), channel, new Watching(listener), patience, stale);
  }

  /**
   * Connects to an agent's socket and greets it.
   *
   * @throws ForkdException ENGINE when nobody listens there or what answers is no agent; TIMEOUT
   *     after {@code deadline}; UNSUPPORTED when it speaks another version
   */
  public static AgentConnection open(
      Path socket, AgentSettings settings, AgentListener listener, Duration deadline) {
    return open(socket, settings, listener, deadline, Multiplexer.PATIENCE);
  }

  static AgentConnection open(
      Path socket,
      AgentSettings settings,
      AgentListener listener,
      Duration deadline,
      Duration patience) {
    SocketChannel channel;
    try {
      channel = UnixSocket.connect(socket, deadline);
    } catch (IOException e) {
      throw new Failure(
              FailureKind.ENGINE,
              "sandbox " + settings.name() + ": cannot connect to its agent (" + e + ")")
          .thrown(e);
    }
    return over(channel, settings, listener, deadline, patience, false);
  }

  /**
   * Greets an agent at the other end of a connected channel, which the result owns.
   *
   * @throws ForkdException as {@link #open}
   */
  public static AgentConnection over(
      SocketChannel channel, AgentSettings settings, AgentListener listener, Duration deadline) {
    return over(channel, settings, listener, deadline, Multiplexer.PATIENCE, false);
  }

  /**
   * As {@link #over}, of an agent that was copied while it may have talked to somebody else. What
   * it still has to say to them is thrown away.
   */
  public static AgentConnection resumed(
      SocketChannel channel, AgentSettings settings, AgentListener listener, Duration deadline) {
    return over(channel, settings, listener, deadline, Multiplexer.PATIENCE, true);
  }

  private static AgentConnection over(
      SocketChannel channel,
      AgentSettings settings,
      AgentListener listener,
      Duration deadline,
      Duration patience,
      boolean stale) {
    AgentConnection connection = new AgentConnection(settings, channel, listener, patience, stale);
    connection.frames.start();
    try {
      connection.greet(deadline);
      return connection;
    } catch (ForkdException e) {
      connection.frames.close(e.failure());
      throw e;
    }
  }

  private void greet(Duration deadline) {
    Fields hello = Fields.builder().integer(FieldKey.VERSION, Frame.PROTOCOL_VERSION).build();
    Exchange exchange = frames.request(FrameType.HELLO, hello, Exchange.Shape.WELCOME);
    Fields welcome =
        fieldsOf(exchange.awaitLast(Deadline.after(deadline), about("greeting")), "greeting");
    runtime = runtimeOf(welcome);
  }

  /**
   * Makes a restored copy of a virtual machine one of its own; returns when everything in it, the
   * runtime included, has taken its new identity.
   */
  public void identify(Fields identity, Duration deadline) {
    Exchange exchange = frames.request(FrameType.IDENTITY, identity, Exchange.Shape.IDENTITY);
    try {
      fieldsOf(exchange.awaitLast(Deadline.after(deadline), about("identity")), "identity");
    } finally {
      frames.abandon(exchange);
    }
  }

  /**
   * Waits until the agent has taken in everything that was sent, and sends nothing until the result
   * is closed: the moment at which a machine may be copied. What the agent sends is read on.
   */
  public Quiet quiet(Duration deadline) {
    CountDownLatch release = new CountDownLatch(1);
    Exchange exchange = frames.requestAndHold(FrameType.PING, Exchange.Shape.PONG, release);
    try {
      exchange.awaitLast(Deadline.after(deadline), about("waiting for a quiet moment"));
      return new Quiet(frames.openRequests(), release);
    } catch (ForkdException e) {
      release.countDown();
      throw e;
    } finally {
      frames.abandon(exchange);
    }
  }

  /**
   * A connection on which nothing is sent.
   *
   * @param requests that are open
   */
  public record Quiet(int requests, CountDownLatch release) implements AutoCloseable {
    @Override
    public void close() {
      release.countDown();
    }
  }

  /** State of the runtime as last told. */
  public Pong.RuntimeState runtime() {
    return runtime;
  }

  /** Asks the agent, and the runtime unless there is none or it has ended, to answer. */
  public Pong ping(Duration deadline) {
    boolean asksRuntime =
        runtime == Pong.RuntimeState.READY || runtime == Pong.RuntimeState.STARTING;
    int type = asksRuntime ? FrameType.PING_RUNTIME : FrameType.PING;
    Exchange exchange = frames.request(type, Fields.NONE, Exchange.Shape.PONG);
    try {
      Frame answer = exchange.awaitLast(Deadline.after(deadline), about("ping"));
      if (isRuntimeEnd(answer)) {
        runtime = Pong.RuntimeState.ENDED;
        return new Pong(runtime, "{}");
      }
      Fields pong = fieldsOf(answer, "ping");
      runtime = runtimeOf(pong);
      String report = pong.text(FieldKey.REPORT);
      return new Pong(runtime, report.isEmpty() ? "{}" : report);
    } finally {
      frames.abandon(exchange);
    }
  }

  /** How many programs the kernel of the agent's machine has killed for want of memory. */
  public long oomKills(Duration deadline) {
    Exchange exchange = frames.request(FrameType.PING, Fields.NONE, Exchange.Shape.PONG);
    try {
      Frame answer = exchange.awaitLast(Deadline.after(deadline), about("ping"));
      return fieldsOf(answer, "ping").integer(FieldKey.OOM_KILLS, 0, 0, Long.MAX_VALUE);
    } finally {
      frames.abandon(exchange);
    }
  }

  /** What the agent says about the end of the runtime; "" when it serves. */
  public String runtimeEnd(Duration deadline) {
    Exchange exchange = frames.request(FrameType.PING_RUNTIME, Fields.NONE, Exchange.Shape.PONG);
    try {
      Frame answer = exchange.awaitLast(Deadline.after(deadline), about("ping"));
      return isRuntimeEnd(answer) ? ErrorFrame.oneLine(answer.fields().text(FieldKey.MESSAGE)) : "";
    } finally {
      frames.abandon(exchange);
    }
  }

  /**
   * Starts a program; the result must be closed.
   *
   * @throws ForkdException NOT_FOUND when there is no such command, or nothing listens there;
   *     CONFLICT when it may not be executed; ENGINE when it needs the runtime and that has ended
   */
  public RunningProgram run(ProgramSpec spec) {
    boolean isExec = !spec.program().isCall();
    String what = isExec ? "exec" : "call";
    Exchange exchange =
        frames.request(
            isExec ? FrameType.EXEC : FrameType.CALL,
            ProgramFields.of(spec, settings),
            Exchange.Shape.PROGRAM);
    try {
      Deadline deadline = Deadline.after(settings.startWait());
      Fields started = fieldsOf(exchange.awaitStarted(deadline, about(what)), what);
      long pid = started.integer(FieldKey.PID, 0, 0, PID_MAX);
      return new AgentProgram(frames, exchange, about(what), pid, spec);
    } catch (ForkdException e) {
      frames.abandon(exchange);
      throw e;
    }
  }

  /** Runs code in the eval session. TIMEOUT tells whether the session's state was kept. */
  public EvalResult eval(String code, Duration timeout) {
    Fields fields =
        Fields.builder()
            .text(FieldKey.CODE, code)
            .integer(FieldKey.TIMEOUT_MS, timeout.toMillis())
            .integer(FieldKey.GRACE_MS, GRACE.toMillis())
            .integer(FieldKey.MAX_OUTPUT, EVAL_OUTPUT_MAX)
            .build();
    long mine = timeout.plus(GRACE).toMillis();
    // The session runs one eval at a time, so those that came before may use up their time first.
    long before = evalBacklogMillis.getAndAdd(mine);
    try {
      Exchange exchange = frames.request(FrameType.EVAL, fields, Exchange.Shape.RESULT);
      try {
        Deadline deadline = Deadline.after(MARGIN.plusMillis(before + mine));
        return evalResult(fieldsOf(exchange.awaitLast(deadline, about("eval")), "eval"));
      } finally {
        frames.abandon(exchange);
      }
    } finally {
      evalBacklogMillis.addAndGet(-mine);
    }
  }

  /**
   * Makes the eval session freeze a copy of itself and rest, once the evals before it are done.
   *
   * @throws ForkdException TIMEOUT when they are not done in time; ENGINE when there is no runtime
   */
  public HeldSession hold(Duration timeout) {
    Fields fields = Fields.builder().integer(FieldKey.TIMEOUT_MS, timeout.toMillis()).build();
    Exchange exchange = frames.request(FrameType.BRANCH, fields, Exchange.Shape.BRANCH);
    try {
      Deadline deadline = Deadline.after(timeout.plus(MARGIN));
      Fields started = fieldsOf(exchange.awaitStarted(deadline, about("branch")), "branch");
      return new HeldSession(frames, exchange, about("branch"), started);
    } catch (ForkdException e) {
      frames.abandon(exchange);
      throw e;
    }
  }

  /** Copies a regular file of the sandbox; at most {@code limit} bytes. */
  public long readFile(String path, long limit, OutputStream to, Duration deadline) {
    return new FileTransfer(frames, about("reading " + path)).read(path, limit, to, deadline);
  }

  /** Writes a file of the sandbox, atomically. */
  public void writeFile(String path, int mode, InputStream from, Duration deadline) {
    new FileTransfer(frames, about("writing " + path)).write(path, mode, from, deadline);
  }

  /** The files of the sandbox. */
  public SandboxFiles files() {
    return new AgentFiles(frames, settings.name());
  }

  /** Ends the connection; whatever is open on it fails with {@code reason}. */
  public void close(Failure reason) {
    frames.close(reason);
  }

  /** Ends the connection. The agent kills what was started on it. */
  @Override
  public void close() {
    close(new Failure(FailureKind.ENGINE, "sandbox " + settings.name() + " was destroyed"));
  }

  private String about(String what) {
    return "sandbox " + settings.name() + ": " + what;
  }

  private Fields fieldsOf(Frame answer, String what) {
    if (answer.type() == FrameType.ERROR) {
      throw ErrorFrame.failure(about(what), answer.fields()).thrown();
    }
    return answer.fields();
  }

  private static boolean isRuntimeEnd(Frame answer) {
    return answer.type() == FrameType.ERROR
        && answer.fields().text(FieldKey.KIND).equals("runtime");
  }

  private static Pong.RuntimeState runtimeOf(Fields fields) {
    Pong.RuntimeState[] states = Pong.RuntimeState.values();
    return states[(int) fields.integer(FieldKey.RUNTIME, 0, 0, states.length - 1L)];
  }

  private static EvalResult evalResult(Fields result) {
    return new EvalResult(
        result.text(FieldKey.RESULT),
        result.text(FieldKey.STDOUT),
        result.text(FieldKey.STDERR),
        result.text(FieldKey.ERROR),
        result.text(FieldKey.TRACEBACK),
        result.flag(FieldKey.TRUNCATED),
        result.flag(FieldKey.RESTARTED));
  }

  /** Keeps {@link #runtime} up to date on the way to the listener. */
  private final class Watching implements AgentListener {
    private final AgentListener listener;

    Watching(AgentListener listener) {
      this.listener = listener;
    }

    @Override
    public void runtimeEnded(Fields event) {
      runtime = Pong.RuntimeState.ENDED;
      listener.runtimeEnded(event);
    }

    @Override
    public Failure lost(Failure reason, boolean byPeer) {
      return listener.lost(reason, byPeer);
    }
  }
}
