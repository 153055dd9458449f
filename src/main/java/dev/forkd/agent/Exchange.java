package dev.forkd.agent;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * One open request: what has come back for it so far. Filled by the connection's reader, which it
 * never blocks; waited on by whoever asked.
 */
final class Exchange {
  /**
   * What may come back.
   *
   * @param last type of the frame that ends it (ERROR always may)
   * @param started whether STARTED comes first
   * @param streams how many output streams there are
   * @param input whether input is sent, so that credit comes back
   */
  record Shape(int last, boolean started, int streams, boolean input) {
    static final Shape WELCOME = new Shape(FrameType.WELCOME, false, 0, false);
    static final Shape PONG = new Shape(FrameType.PONG, false, 0, false);
    static final Shape PROGRAM = new Shape(FrameType.EXITED, true, 2, true);
    static final Shape RESULT = new Shape(FrameType.RESULT, false, 0, false);
    static final Shape IDENTITY = new Shape(FrameType.DONE, false, 0, false);
    static final Shape DONE = new Shape(FrameType.DONE, false, 0, false);
    static final Shape BRANCH = new Shape(FrameType.DONE, true, 0, false);
    static final Shape READ = new Shape(FrameType.DONE, false, 1, false);
    static final Shape WRITE = new Shape(FrameType.DONE, true, 0, true);
  }

  private final int id;
  private final Shape shape;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final OutputQueue output;
  private Optional<Frame> started = Optional.empty();
  private Optional<Frame> last = Optional.empty();
  private Optional<Failure> broken = Optional.empty();
  private int inputCredit = Frame.DEFAULT_WINDOW;

  Exchange(int id, Shape shape) {
    this.id = id;
    this.shape = shape;
    this.output = new OutputQueue(shape.streams(), Frame.DEFAULT_WINDOW);
  }

  int id() {
    return id;
  }

  /** How many output streams it has. */
  int streams() {
    return shape.streams();
  }

  /**
   * Takes a frame in. False when it breaks the protocol.
   *
   * @throws ForkdException ENGINE when a field of it does
   */
  boolean accept(Frame frame) {
    lock.lock();
    try {
      boolean allowed = last.isEmpty() && store(frame);
      changed.signalAll();
      return allowed;
    } finally {
      lock.unlock();
    }
  }

  /** Whether that frame is the one that ends the request. */
  boolean endsWith(Frame frame) {
    return frame.type() == FrameType.ERROR || frame.type() == shape.last();
  }

  private boolean store(Frame frame) {
    if (endsWith(frame)) {
      last = Optional.of(frame);
      return true;
    }
    return switch (frame.type()) {
      case FrameType.STARTED -> {
        boolean first = shape.started() && started.isEmpty();
        started = Optional.of(frame);
        yield first;
      }
      case FrameType.OUTPUT -> {
        int stream = (int) frame.fields().integer(FieldKey.STREAM, 1, 0, 2);
        yield output.add(stream, frame.fields().bytes(FieldKey.DATA));
      }
      case FrameType.WINDOW_STDIN -> {
        int spent = Frame.DEFAULT_WINDOW - inputCredit;
        inputCredit += (int) frame.fields().integer(FieldKey.BYTES, 0, 0, spent);
        yield shape.input();
      }
      default -> false;
    };
  }

  /** Whether the frame that ends the request has come. */
  boolean ended() {
    lock.lock();
    try {
      return last.isPresent();
    } finally {
      lock.unlock();
    }
  }

  /** The connection is gone: wakes everybody who waits. */
  void breakOff(Failure failure) {
    lock.lock();
    try {
      broken = Optional.of(failure);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Nobody wants its output any more; {@code extra} more bytes per stream may still come. */
  void mute(int extra) {
    lock.lock();
    try {
      output.mute(extra);
    } finally {
      lock.unlock();
    }
  }

  /** STARTED, or the ERROR that came instead. */
  Frame awaitStarted(Deadline deadline, String what) {
    return await(deadline, what, () -> started.or(() -> last));
  }

  /** The frame that ended the request. */
  Frame awaitLast(Deadline deadline, String what) {
    return await(deadline, what, () -> last);
  }

  /** Output, or the frame that ended the request once all output is taken. */
  Event awaitEvent(Deadline deadline, String what) {
    return await(
        deadline,
        what,
        () -> output.take().<Event>map(Event.Output::new).or(() -> last.map(Event.Last::new)));
  }

  /**
   * Takes credit for input.
   *
   * @return how many bytes may be sent, at most {@code wanted}; 0 when the request has ended
   */
  int awaitInputCredit(int wanted, Deadline deadline, String what) {
    return await(
        deadline,
        what,
        () -> {
          if (last.isPresent()) {
            return Optional.of(0);
          }
          int got = Math.min(inputCredit, wanted);
          inputCredit -= got;
          return got > 0 ? Optional.of(got) : Optional.empty();
        });
  }

  private <T> T await(Deadline deadline, String what, Supplier<Optional<T>> ready) {
    lock.lock();
    try {
      while (true) {
        Optional<T> value = ready.get();
        if (value.isPresent()) {
          return value.get();
        }
        if (broken.isPresent()) {
          throw broken.get().thrown();
        }
        if (deadline.passed()) {
          throw new ForkdException(FailureKind.TIMEOUT, what + ": no answer within the deadline");
        }
        changed.awaitNanos(deadline.leftNanos());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.ENGINE, what + ": interrupted while waiting").thrown(e);
    } finally {
      lock.unlock();
    }
  }

  /** What a request tells while it runs. */
  sealed interface Event {
    record Output(OutputQueue.Taken taken) implements Event {}

    record Last(Frame frame) implements Event {}
  }
}
