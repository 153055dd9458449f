package dev.forkd.agent;

import dev.forkd.frame.Frame;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Optional;

/**
 * Output of a program that was received and not yet taken, with the credit that bounds it.
 *
 * <p>Small pieces are put together, so that a program that writes single bytes cannot make us keep
 * an object for each. When very many alternating pieces wait, their order between the two streams
 * is given up; the order within a stream never is. Not thread-safe: its {@link Exchange} locks.
 */
final class OutputQueue {
  private static final int MAX_PIECES = 1_024;

  private final ArrayDeque<Piece> pieces = new ArrayDeque<>();
  private final Stream[] streams;

  /**
   * A queue.
   *
   * @param lastStream highest number of a stream that may send: 2 for a program, 1 for a file
   * @param window credit of each in bytes
   */
  OutputQueue(int lastStream, int window) {
    streams = new Stream[lastStream + 1];
    for (int i = 1; i <= lastStream; i++) {
      streams[i] = new Stream(window);
    }
  }

  /** Keeps bytes that arrived; false when the sender had no right to send them. */
  boolean add(int stream, byte[] bytes) {
    if (stream < 1 || stream >= streams.length || bytes.length == 0) {
      return false;
    }
    Stream from = streams[stream];
    if (bytes.length > Frame.MAX_DATA || bytes.length > from.credit) {
      return false;
    }
    from.credit -= bytes.length;
    if (!from.muted) {
      pieceFor(stream, bytes.length).append(bytes);
    }
    return true;
  }

  private Piece pieceFor(int stream, int length) {
    Stream from = streams[stream];
    Piece last = pieces.peekLast();
    boolean joins =
        last != null && last.stream == stream && last.length() + length <= Frame.MAX_DATA;
    boolean full = pieces.size() >= MAX_PIECES;
    Optional<Piece> same = joins || full ? from.newest : Optional.empty();
    return same.orElseGet(() -> {
      Piece fresh = new Piece(stream);
      pieces.add(fresh);
      from.newest = Optional.of(fresh);
      return fresh;
    });
  }

  /** The oldest bytes, at most 64 KiB of one stream. */
  Optional<Taken> take() {
    Piece first = pieces.peekFirst();
    if (first == null) {
      return Optional.empty();
    }
    Stream from = streams[first.stream];
    byte[] bytes = first.take();
    if (first.length() == 0) {
      pieces.removeFirst();
      if (from.newest.filter(piece -> piece == first).isPresent()) {
        from.newest = Optional.empty();
      }
    }
    from.owed += bytes.length;
    // Half a window at a time: one small frame back for many of output.
    int grant = from.owed * 2 >= from.window ? from.owed : 0;
    from.owed -= grant;
    from.credit += grant;
    return Optional.of(new Taken(first.stream, bytes, grant));
  }

  /** Drops what waits and whatever comes; {@code extra} more bytes per stream may still come. */
  void mute(int extra) {
    pieces.clear();
    for (int i = 1; i < streams.length; i++) {
      streams[i].muted = true;
      streams[i].newest = Optional.empty();
      streams[i].credit += extra;
    }
  }

  /** Highest number of a stream. */
  int lastStream() {
    return streams.length - 1;
  }

  /**
   * Bytes that left the queue.
   *
   * @param grant credit that the sender has to be told now; 0 = none
   */
  record Taken(int stream, byte[] bytes, int grant) {}

  private static final class Stream {
    final int window;
    long credit;
    int owed;
    boolean muted;
    Optional<Piece> newest = Optional.empty();

    Stream(int window) {
      this.window = window;
      this.credit = window;
    }
  }

  private static final class Piece {
    final int stream;
    private byte[] bytes = new byte[0];
    private int start;
    private int end;

    Piece(int stream) {
      this.stream = stream;
    }

    int length() {
      return end - start;
    }

    void append(byte[] more) {
      if (end + more.length > bytes.length) {
        int needed = length() + more.length;
        byte[] grown = new byte[end == 0 ? needed : 2 * needed];
        System.arraycopy(bytes, start, grown, 0, length());
        end = length();
        start = 0;
        bytes = grown;
      }
      System.arraycopy(more, 0, bytes, end, more.length);
      end += more.length;
    }

    byte[] take() {
      int stop = Math.min(end, start + Frame.MAX_DATA);
      byte[] taken = Arrays.copyOfRange(bytes, start, stop);
      start = stop;
      return taken;
    }
  }
}
