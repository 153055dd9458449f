package dev.forkd.client;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;

/**
 * The body of a reply: read to its end it leaves the connection ready for the next request (when
 * {@link #complete} says so), and it never reads beyond.
 */
final class HttpBody extends InputStream {
  private static final int MAX_CHUNK_LINE = 256;
  private static final int MAX_SIZE_DIGITS = 15;

  private enum Framing {
    LENGTH,
    CHUNKED,
    TO_CLOSE
  }

  private final HttpConnection connection;
  private final Framing framing;
  private Deadline deadline;
  private long left; // of the body, or of the current chunk
  private boolean firstChunk = true;
  private boolean ended;
  private final boolean reusable;

  HttpBody(HttpConnection connection, HttpReply reply, Deadline deadline) throws IOException {
    this.connection = connection;
    this.deadline = deadline;
    String encoding = reply.header("transfer-encoding");
    String length = reply.header("content-length");
    if (reply.status() == 204 || reply.status() == 304) {
      framing = Framing.LENGTH;
    } else if (encoding.equalsIgnoreCase("chunked")) {
      framing = Framing.CHUNKED;
    } else if (!encoding.isEmpty()) {
      throw new IOException("the reply has the unknown transfer encoding \"" + encoding + "\"");
    } else if (length.isEmpty()) {
      framing = Framing.TO_CLOSE;
    } else {
      framing = Framing.LENGTH;
      left = size(length, 10);
    }
    ended = framing == Framing.LENGTH && left == 0;
    reusable = reply.keepAlive() && framing != Framing.TO_CLOSE;
  }

  /** The deadline of the reads that follow. */
  void deadline(Deadline next) {
    deadline = next;
  }

  /** Whether all of it was read and the connection can carry another request. */
  boolean complete() {
    return ended && reusable;
  }

  private static long size(String digits, int radix) throws IOException {
    if (digits.length() <= MAX_SIZE_DIGITS && digits.matches("[0-9a-fA-F]+")) {
      try {
        return Long.parseLong(digits, radix);
      } catch (NumberFormatException e) {
        throw new IOException("the reply's length \"" + digits + "\" is not a number", e);
      }
    }
    throw new IOException("the reply's length \"" + digits + "\" is not a number");
  }

  private void nextChunk() throws IOException {
    if (!firstChunk && !connection.readLine(MAX_CHUNK_LINE, deadline).isEmpty()) {
      throw new IOException("a chunk of the reply is longer than it says");
    }
    firstChunk = false;
    String line = connection.readLine(MAX_CHUNK_LINE, deadline);
    int extension = line.indexOf(';');
    left = size((extension < 0 ? line : line.substring(0, extension)).strip(), 16);
    if (left == 0) {
      HttpReply.readHeaders(connection, deadline); // the trailer, which says nothing to us
      ended = true;
    }
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
    if (framing == Framing.CHUNKED && left == 0 && !ended) {
      nextChunk();
    }
    if (ended) {
      return -1;
    }
    int wanted = framing == Framing.TO_CLOSE ? length : (int) Math.min(length, left);
    int n = connection.read(into, offset, wanted, deadline);
    if (n < 0 && framing != Framing.TO_CLOSE) {
      throw new EOFException("the daemon closed the connection in the middle of its reply");
    }
    left -= framing == Framing.TO_CLOSE ? 0 : n;
    ended = n < 0 || (framing == Framing.LENGTH && left == 0);
    return n;
  }
}
