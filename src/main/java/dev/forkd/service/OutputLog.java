package dev.forkd.service;

import dev.forkd.model.DetachedOutput;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The last part of a program's output. Who reads it keeps the position, so there may be any number
 * of readers and no queue for a slow one to fill; who writes never waits. Thread-safe.
 */
final class OutputLog {
  /** Bytes kept; earlier ones go. */
  static final int MAX_BYTES = 256 << 10;

  /** A segment at the most, and how many: short writes to alternating streams need one each. */
  private static final int SEGMENT = 16 << 10;

  private static final int MAX_SEGMENTS = 1024;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Segment> segments = new ArrayDeque<>();
  private long from;
  private long to;
  private Optional<DetachedProgram.End> end = Optional.empty();

  /** Bytes of one stream that follow one another. */
  private static final class Segment {
    private final int stream;
    private final long at;
    private byte[] bytes = new byte[64];
    private int length;

    Segment(int stream, long at) {
      this.stream = stream;
      this.at = at;
    }

    /** Takes what it has room for, and tells how much. */
    int take(byte[] more, int offset) {
      int n = Math.min(more.length - offset, SEGMENT - length);
      if (length + n > bytes.length) {
        bytes = Arrays.copyOf(bytes, Math.clamp(2L * (length + n), 64, SEGMENT));
      }
      System.arraycopy(more, offset, bytes, length, n);
      length += n;
      return n;
    }
  }

  /** Where the output that is kept begins and ends. */
  record Extent(long from, long to) {}

  /** More output. */
  void add(int stream, byte[] bytes) {
    lock.lock();
    try {
      int taken = 0;
      while (taken < bytes.length) {
        Segment last = segments.peekLast();
        if (last == null || last.stream != stream || last.length == SEGMENT) {
          last = new Segment(stream, to);
          segments.addLast(last);
        }
        int n = last.take(bytes, taken);
        taken += n;
        to += n;
      }
      forgetTheOldest();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void forgetTheOldest() {
    while (to - from > MAX_BYTES || segments.size() > MAX_SEGMENTS) {
      Segment oldest = segments.removeFirst();
      from = oldest.at + oldest.length;
    }
  }

  /** There is no more. */
  void end(DetachedProgram.End how) {
    lock.lock();
    try {
      end = Optional.of(how);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  Optional<DetachedProgram.End> ended() {
    lock.lock();
    try {
      return end;
    } finally {
      lock.unlock();
    }
  }

  Extent extent() {
    lock.lock();
    try {
      return new Extent(from, to);
    } finally {
      lock.unlock();
    }
  }

  /**
   * The output at a position, or what is kept behind it; then the end. Empty when neither comes
   * within {@code patience}.
   *
   * @throws ForkdException INVALID for a position that there is not yet
   */
  Optional<DetachedOutput> read(long position, Duration patience) {
    lock.lock();
    try {
      check(position);
      long left = patience.toNanos();
      while (position >= to && end.isEmpty()) {
        if (left <= 0) {
          return Optional.empty();
        }
        left = changed.awaitNanos(left);
      }
      return Optional.of(
          position < to ? chunk(position) : new DetachedOutput.Ended(end.orElseThrow()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.UNAVAILABLE, "interrupted while waiting for output").thrown(e);
    } finally {
      lock.unlock();
    }
  }

  private void check(long position) {
    if (position < 0 || position > to) {
      throw new ForkdException(
          FailureKind.INVALID,
          "offset %d is not between 0 and %d, which is what it has written so far"
              .formatted(position, to));
    }
  }

  private DetachedOutput chunk(long position) {
    Segment segment =
        segments.stream().filter(one -> one.at + one.length > position).findFirst().orElseThrow();
    int skip = (int) Math.max(0, position - segment.at);
    return new DetachedOutput.Chunk(
        segment.stream, segment.at + skip, Arrays.copyOfRange(segment.bytes, skip, segment.length));
  }
}
