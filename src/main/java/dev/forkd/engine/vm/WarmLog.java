package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a warm-up prints, line by line, and the two lines of it that are for the engine. */
final class WarmLog {
  private static final Logger LOG = LoggerFactory.getLogger(WarmLog.class);
  private static final String STARTED = "forkd: warming up";
  private static final String FAILED = "forkd: failed: ";
  private static final int MAX_LINE = 4_096;
  private static final int TAIL_LINES = 60;

  private final Consumer<String> lines;
  private final ByteArrayOutputStream line = new ByteArrayOutputStream();
  private final Deque<String> tail = new ArrayDeque<>();
  private final CompletableFuture<Void> started = new CompletableFuture<>();
  private final CompletableFuture<String> failed = new CompletableFuture<>();
  private final Thread reader;

  /** Reads until the channel, which it owns, ends. */
  WarmLog(SocketChannel channel, Consumer<String> lines) {
    this.lines = lines;
    this.reader = Thread.ofVirtual().name("warm-log").start(() -> read(channel));
  }

  /** Completes when the interpreter begins with the recipe's part. */
  CompletableFuture<Void> started() {
    return started;
  }

  /** Completes with the reason when the warm-up says that it failed. */
  CompletableFuture<String> failed() {
    return failed;
  }

  /** The last 60 lines. */
  String tail() {
    synchronized (tail) {
      return String.join("\n", tail);
    }
  }

  /** Waits for the end of the channel, so that the last line is told. */
  void join() throws InterruptedException {
    reader.join();
  }

  private void read(SocketChannel channel) {
    byte[] chunk = new byte[MAX_LINE];
    try (channel;
        InputStream in = Channels.newInputStream(channel)) {
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        add(chunk, n);
      }
    } catch (IOException e) {
      LOG.debug("event=warm_log_ended error=\"{}\"", e.toString());
    }
    if (line.size() > 0) {
      tell();
    }
  }

  private void add(byte[] chunk, int n) {
    for (int i = 0; i < n; i++) {
      if (chunk[i] != '\n') {
        line.write(chunk[i]);
      }
      if (chunk[i] == '\n' || line.size() == MAX_LINE) {
        tell();
      }
    }
  }

  private void tell() {
    String text = line.toString(UTF_8).stripTrailing();
    line.reset();
    if (text.equals(STARTED)) {
      started.complete(null);
    } else if (text.startsWith(FAILED)) {
      failed.complete(text.substring(FAILED.length()));
    } else {
      synchronized (tail) {
        tail.addLast(text);
        if (tail.size() > TAIL_LINES) {
          tail.removeFirst();
        }
      }
      lines.accept(text);
    }
  }
}
