package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a machine's kernel prints; the end of it is kept. A guest may print anything, for ever. */
final class Console implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Console.class);
  private static final int KEPT = 2_048;
  private static final int TOLD = 600;

  private final SocketChannel channel;
  private final byte[] ring = new byte[KEPT];
  private long length;

  /** Reads the channel, which it owns, until it ends. */
  Console(SocketChannel channel) {
    this.channel = channel;
    Thread.ofVirtual().name("console").start(this::read);
  }

  private void read() {
    ByteBuffer chunk = ByteBuffer.allocate(KEPT);
    try {
      while (channel.read(chunk) >= 0) {
        keep(chunk.flip());
        chunk.clear();
      }
    } catch (IOException e) {
      LOG.debug("event=console_ended error=\"{}\"", e.toString());
    }
  }

  private synchronized void keep(ByteBuffer bytes) {
    while (bytes.hasRemaining()) {
      ring[(int) (length++ % KEPT)] = bytes.get();
    }
  }

  /** The last lines, as one. */
  synchronized String tail() {
    int n = (int) Math.min(length, KEPT);
    byte[] last = new byte[n];
    for (int i = 0; i < n; i++) {
      last[i] = ring[(int) ((length - n + i) % KEPT)];
    }
    String text = new String(last, UTF_8).strip();
    return text.substring(Math.max(0, text.length() - TOLD)).replaceAll("\\p{Cntrl}+", " | ");
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
