package dev.forkd.engine.process;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/** One request to the launcher that is not answered yet: log output, then one last frame. */
final class LauncherCall {
  /** Log output that waits to be taken; the launcher bounds it per template, this per moment. */
  private static final int MAX_LOG_FRAMES = 1_024;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<byte[]> log = new ArrayDeque<>();
  private Optional<Frame> answer = Optional.empty();
  private Optional<Failure> broken = Optional.empty();

  /** Takes in what the launcher sent; never blocks. True when it was the last frame. */
  boolean accept(Frame frame) {
    lock.lock();
    try {
      boolean isLog = frame.type() == FrameType.LOG;
      if (!isLog) {
        answer = Optional.of(frame);
      } else if (log.size() < MAX_LOG_FRAMES) {
        log.add(frame.fields().bytes(FieldKey.DATA));
      }
      changed.signalAll();
      return !isLog;
    } finally {
      lock.unlock();
    }
  }

  void breakOff(Failure failure) {
    lock.lock();
    try {
      broken = Optional.of(failure);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits for the answer even when the caller is interrupted meanwhile; the interrupt is kept. For
   * what cleans up: it must not be left half done.
   */
  Frame awaitUninterrupted(Deadline deadline) {
    boolean interrupted = Thread.interrupted();
    try {
      while (true) {
        try {
          return await(deadline, _ -> {});
        } catch (ForkdException e) {
          if (!Thread.interrupted()) {
            throw e;
          }
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /**
   * Waits for the answer; hands log output to {@code sink} on the caller's thread meanwhile, so
   * that a slow sink delays nobody else.
   */
  Frame await(Deadline deadline, Consumer<byte[]> sink) {
    while (true) {
      Optional<byte[]> output = awaitLog(deadline);
      if (output.isEmpty()) {
        return answer.orElseThrow();
      }
      sink.accept(output.get());
    }
  }

  /** The next log output, or empty when the answer is there and all output is taken. */
  private Optional<byte[]> awaitLog(Deadline deadline) {
    lock.lock();
    try {
      while (log.isEmpty() && answer.isEmpty()) {
        if (broken.isPresent()) {
          throw broken.get().thrown();
        }
        if (deadline.passed()) {
          throw new ForkdException(
              FailureKind.TIMEOUT, "the launcher did not answer within the deadline");
        }
        changed.awaitNanos(deadline.leftNanos());
      }
      return Optional.ofNullable(log.poll());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.ENGINE, "interrupted while waiting for the launcher").thrown(e);
    } finally {
      lock.unlock();
    }
  }
}
