package dev.forkd.agent;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.TerminalSize;
import java.time.Duration;

/** A program that an agent runs for us. */
final class AgentProgram implements RunningProgram {
  private static final int MAX_SIGNAL = 64;

  /** The longest that one write waits for the program to read. */
  private static final Duration WRITE_WAIT = Duration.ofDays(1);

  private final Multiplexer frames;
  private final Exchange exchange;
  private final String about;
  private final long pid;
  private final boolean timed;
  private final boolean terminal;
  private volatile Deadline overdue;

  AgentProgram(Multiplexer frames, Exchange exchange, String about, long pid, ProgramSpec spec) {
    Duration timeout = spec.timeout();
    this.terminal = spec.terminal().isPresent();
    this.frames = frames;
    this.exchange = exchange;
    this.about = about;
    this.pid = pid;
    this.timed = timeout.isPositive();
    this.overdue = Deadline.after(timeout.plus(AgentConnection.GRACE).plus(AgentConnection.MARGIN));
  }

  @Override
  public long pid() {
    return pid;
  }

  @Override
  public ProgramEvent next(Duration wait) {
    Deadline deadline = Deadline.after(wait);
    if (timed && overdue.leftNanos() < deadline.leftNanos()) {
      return nextOrOverdue();
    }
    return told(exchange.awaitEvent(deadline, about));
  }

  /** The agent keeps the program's timeout; this is for an agent that does not. */
  private ProgramEvent nextOrOverdue() {
    try {
      return told(exchange.awaitEvent(overdue, about + " (its timeout has long passed)"));
    } catch (ForkdException e) {
      close();
      throw e;
    }
  }

  private ProgramEvent told(Exchange.Event event) {
    return switch (event) {
      case Exchange.Event.Output(OutputQueue.Taken taken) -> {
        if (timed) {
          // The consumer was slow, perhaps; what it left no room for needs time to arrive.
          overdue = overdue.later(Deadline.after(AgentConnection.MARGIN));
        }
        if (taken.grant() > 0 && !exchange.ended()) {
          frames.send(window(taken));
        }
        yield new ProgramEvent.Output(taken.stream(), taken.bytes());
      }
      case Exchange.Event.Last(Frame frame) -> new ProgramEvent.Exited(status(frame));
    };
  }

  private Frame window(OutputQueue.Taken taken) {
    return new Frame(
        FrameType.WINDOW,
        exchange.id(),
        Fields.builder()
            .integer(FieldKey.STREAM, taken.stream())
            .integer(FieldKey.BYTES, taken.grant())
            .build());
  }

  private ExitStatus status(Frame last) {
    Fields fields = last.fields();
    if (last.type() == FrameType.ERROR) {
      throw ErrorFrame.failure(about, fields).thrown();
    }
    return new ExitStatus(
        (int) fields.integer(FieldKey.EXIT_CODE, 0, 0, 255),
        (int) fields.integer(FieldKey.SIGNAL, 0, 0, MAX_SIGNAL),
        fields.flag(FieldKey.TIMED_OUT),
        false,
        Duration.ofNanos(
            1_000 * fields.integer(FieldKey.DURATION_US, 0, 0, Long.MAX_VALUE / 1_000)));
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    InputSender.send(frames, exchange, about, bytes, offset, length, Deadline.after(WRITE_WAIT));
  }

  @Override
  public void closeInput() {
    if (!exchange.ended()) {
      InputSender.end(frames, exchange);
    }
  }

  @Override
  public void signal(int number) {
    if (number < 1 || number > MAX_SIGNAL) {
      throw new ForkdException(
          FailureKind.INVALID, "signal is " + number + ", not 1.." + MAX_SIGNAL);
    }
    if (!exchange.ended()) {
      Fields signal = Fields.builder().integer(FieldKey.SIGNAL, number).build();
      frames.send(new Frame(FrameType.SIGNAL, exchange.id(), signal));
    }
  }

  @Override
  public void resize(TerminalSize size) {
    if (!terminal) {
      throw new ForkdException(FailureKind.INVALID, about + ": it runs without a terminal");
    }
    if (!exchange.ended()) {
      Fields fields =
          Fields.builder()
              .integer(FieldKey.ROWS, size.rows())
              .integer(FieldKey.COLUMNS, size.columns())
              .build();
      frames.send(new Frame(FrameType.RESIZE, exchange.id(), fields));
    }
  }

  @Override
  public void close() {
    frames.abandon(exchange);
  }
}
