package dev.forkd.cli;

import dev.forkd.frame.Frame;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The caller's standard input. The caller sends none before the first read here, and no more than
 * was granted: a command that does not read leaves its caller's input alone.
 */
final class RelayInput extends InputStream {
  private static final long GRANT = Frame.DEFAULT_WINDOW;

  /** Lets the caller send so many more bytes. */
  interface Grant {
    void of(long bytes) throws IOException;
  }

  private final Grant grant;
  private final Deque<byte[]> chunks = new ArrayDeque<>();
  private int at; // in the first chunk
  private long outstanding; // granted and not come yet
  private long taken; // since the last grant
  private boolean asked;
  private boolean eof;
  private boolean closed;

  RelayInput(Grant grant) {
    this.grant = grant;
  }

  /** Takes what the caller sent. */
  synchronized void add(byte[] bytes, boolean last) {
    outstanding -= bytes.length;
    if (outstanding < 0 || eof) {
      throw new ForkdException(FailureKind.INVALID, "input beyond what was asked for");
    }
    if (bytes.length > 0) {
      chunks.add(bytes);
    }
    eof = last;
    notifyAll();
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    long more = wanted();
    if (more > 0) {
      grant.of(more); // outside the lock: the socket may be slow
    }
    return take(into, offset, length);
  }

  private synchronized long wanted() {
    if (eof || (asked && taken < GRANT / 2)) {
      return 0;
    }
    long more = asked ? taken : GRANT;
    asked = true;
    taken = 0;
    outstanding += more;
    return more;
  }

  private synchronized int take(byte[] into, int offset, int length) throws IOException {
    while (chunks.isEmpty() && !eof && !closed) {
      try {
        wait();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted while reading the input");
      }
    }
    if (closed) {
      throw new EOFException("the caller is gone");
    }
    if (chunks.isEmpty()) {
      return -1;
    }
    byte[] first = chunks.getFirst();
    int n = Math.min(length, first.length - at);
    System.arraycopy(first, at, into, offset, n);
    at += n;
    taken += n;
    if (at == first.length) {
      chunks.removeFirst();
      at = 0;
    }
    return n;
  }

  /** Ends every read, now and later. */
  @Override
  public synchronized void close() {
    closed = true;
    notifyAll();
  }
}
