package dev.forkd.client;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A byte stream to the daemon with a deadline on every wait. One thread uses it at a time; {@link
 * #close} may come from any thread and ends the wait of the one inside.
 */
final class HttpConnection implements Closeable {
  private static final int BUFFER = 32 * 1024;

  private final SocketChannel channel;
  private final Selector selector;
  private final SelectionKey key;
  private final ByteBuffer input = ByteBuffer.allocate(BUFFER).flip();
  private boolean reused;

  private HttpConnection(SocketChannel channel) throws IOException {
    this.channel = channel;
    this.selector = Selector.open();
    this.key = channel.register(selector, 0);
  }

  static HttpConnection open(SocketAddress address, Deadline deadline) throws IOException {
    boolean tcp = address instanceof InetSocketAddress;
    SocketChannel channel =
        tcp ? SocketChannel.open() : SocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      channel.configureBlocking(false);
      if (tcp) {
        channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
      }
      boolean connected = channel.connect(address);
      HttpConnection connection = new HttpConnection(channel);
      while (!connected) {
        connection.await(SelectionKey.OP_CONNECT, deadline);
        connected = channel.finishConnect();
      }
      return connection;
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private void await(int operation, Deadline deadline) throws IOException {
    try {
      key.interestOps(operation);
      selector.select(deadline.millisLeft());
      selector.selectedKeys().clear();
    } catch (ClosedSelectorException | CancelledKeyException e) {
      throw new IOException("the connection was closed by this side", e);
    }
    if (Thread.currentThread().isInterrupted()) {
      throw new InterruptedIOException("interrupted while waiting for the daemon");
    }
    deadline.millisLeft();
  }

  /** Notes that it carried a request and waits for another. */
  void keep() {
    reused = true;
  }

  /** Whether it carried a request before. */
  boolean reused() {
    return reused;
  }

  /** Whether an idle connection can carry another request: not closed, and nothing unasked came. */
  boolean reusable() {
    try {
      return !input.hasRemaining() && channel.isOpen() && channel.read(ByteBuffer.allocate(1)) == 0;
    } catch (IOException e) {
      return false; // broken is all that matters here; the next request opens another
    }
  }

  void write(ByteBuffer bytes, Deadline deadline) throws IOException {
    while (channel.write(bytes) >= 0 && bytes.hasRemaining()) {
      await(SelectionKey.OP_WRITE, deadline);
    }
  }

  /** Makes at least one byte available; false at the end of the stream. */
  private boolean fill(Deadline deadline) throws IOException {
    while (!input.hasRemaining()) {
      input.clear();
      int n;
      try {
        n = channel.read(input);
      } finally {
        input.flip();
      }
      if (n < 0) {
        return false;
      }
      if (n == 0) {
        await(SelectionKey.OP_READ, deadline);
      }
    }
    return true;
  }

  /** Reads up to {@code length} bytes, at least one; -1 at the end of the stream. */
  int read(byte[] into, int offset, int length, Deadline deadline) throws IOException {
    if (!fill(deadline)) {
      return -1;
    }
    int n = Math.min(length, input.remaining());
    input.get(into, offset, n);
    return n;
  }

  /** Reads a line without its end; lines longer than {@code limit} bytes are refused. */
  String readLine(int limit, Deadline deadline) throws IOException {
    byte[] line = new byte[Math.min(limit, 256)];
    int length = 0;
    while (fill(deadline)) {
      byte b = input.get();
      if (b == '\n') {
        int end = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
        return new String(line, 0, end, StandardCharsets.ISO_8859_1);
      }
      if (length == limit) {
        throw new IOException("a line of the reply's head is longer than " + limit + " bytes");
      }
      if (length == line.length) {
        line = Arrays.copyOf(line, Math.min(limit, 2 * length));
      }
      line[length++] = b;
    }
    throw new EOFException("the daemon closed the connection");
  }

  @Override
  public void close() {
    try (channel) {
      selector.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
