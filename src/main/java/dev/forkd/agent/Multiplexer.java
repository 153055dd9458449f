package dev.forkd.agent;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameReader;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Many requests on one connection: gives ids, sorts what comes in, writes what goes out.
 *
 * <p>One virtual thread reads and one writes. Callers never touch the channel themselves, because
 * an interrupt of a thread inside a channel operation closes the channel for everybody.
 */
final class Multiplexer {
  /** How long the agent may refuse to read, or to end what was cancelled. */
  static final Duration PATIENCE = Duration.ofSeconds(10);

  /** Requests open at once; the agent's own bound (docs/agent-protocol.md). */
  static final int MAX_OPEN = 256;

  private static final Logger LOG = LoggerFactory.getLogger(Multiplexer.class);
  private static final int MAX_QUEUED = 64;

  /** Output of an earlier host's requests that an agent may still hold: its own bound, doubled. */
  private static final long MAX_STALE = 16L << 20;

  /** How long the writer stands still at the most. */
  private static final Duration HOLD = Duration.ofSeconds(60);

  private static final CountDownLatch GO_ON = new CountDownLatch(0);

  /** A frame, and what the writer waits for after it. */
  private record Outgoing(Frame frame, CountDownLatch then) {}

  private final String name;
  private final SocketChannel channel;
  private final AgentListener listener;
  private final Duration patience;
  private final Map<Integer, Exchange> open = new ConcurrentHashMap<>();
  private final Semaphore slots = new Semaphore(MAX_OPEN);
  private final AtomicInteger ids;
  private final int firstId;
  private final boolean stale;
  private final BlockingQueue<Outgoing> outgoing = new ArrayBlockingQueue<>(MAX_QUEUED);
  private final AtomicBoolean ending = new AtomicBoolean();
  private final Thread writer;
  private volatile Optional<Failure> end = Optional.empty();

  /**
   * Serves a connected channel, which it owns.
   *
   * @param patience usually {@link #PATIENCE}
   * @param stale whether the agent may still be answering somebody else
   */
  Multiplexer(
      String name,
      SocketChannel channel,
      AgentListener listener,
      Duration patience,
      boolean stale) {
    this.name = name;
    this.stale = stale;
    int before = stale ? new SecureRandom().nextInt() & ~1 : 0;
    this.ids = new AtomicInteger(before);
    this.firstId = before + 1;
    this.channel = channel;
    this.listener = listener;
    this.patience = patience;
    this.writer = Thread.ofVirtual().name("agent-writer-" + name).unstarted(this::writeLoop);
  }

  void start() {
    writer.start();
    Thread.ofVirtual().name("agent-reader-" + name).start(this::readLoop);
  }

  /**
   * Sends a request.
   *
   * @throws ForkdException EXHAUSTED when too many are open; ENGINE when the connection is gone
   */
  Exchange request(int type, Fields fields, Exchange.Shape shape) {
    return request(new Frame(type, 0, fields), shape, GO_ON);
  }

  private Exchange request(Frame about, Exchange.Shape shape, CountDownLatch then) {
    if (!slots.tryAcquire()) {
      throw new ForkdException(
          FailureKind.EXHAUSTED,
          "sandbox " + name + " has " + MAX_OPEN + " requests open, the most; try again later");
    }
    Exchange exchange = register(shape);
    try {
      send(new Outgoing(new Frame(about.type(), exchange.id(), about.fields()), then));
      return exchange;
    } catch (ForkdException e) {
      forget(exchange.id());
      throw e;
    }
  }

  private Exchange register(Exchange.Shape shape) {
    Exchange exchange = new Exchange(ids.updateAndGet(id -> id == -1 ? 1 : id + 1), shape);
    // Ids wrap after 2^32 requests; one that is still open then keeps its id.
    while (open.putIfAbsent(exchange.id(), exchange) != null) {
      exchange = new Exchange(ids.updateAndGet(id -> id == -1 ? 1 : id + 1), shape);
    }
    return exchange;
  }

  private void forget(int id) {
    if (open.remove(id) != null) {
      slots.release();
    }
  }

  /**
   * Queues a frame. ENGINE when the connection is gone, or goes because the agent does not read.
   */
  void send(Frame frame) {
    send(new Outgoing(frame, GO_ON));
  }

  /**
   * Sends a request after which nothing is sent until {@code release} is counted down. When it is
   * answered, the agent has taken in everything that was ever sent.
   */
  Exchange requestAndHold(int type, Exchange.Shape shape, CountDownLatch release) {
    return request(new Frame(type, 0, Fields.NONE), shape, release);
  }

  /** How many requests are open. */
  int openRequests() {
    return open.size();
  }

  private void send(Outgoing frame) {
    throwIfEnded();
    try {
      // The first try even when the caller was interrupted: what cleans up must get through.
      if (!outgoing.offer(frame)
          && !outgoing.offer(frame, patience.toMillis(), TimeUnit.MILLISECONDS)) {
        breakOff("it reads nothing");
        throwIfEnded();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.ENGINE, "sandbox " + name + ": interrupted while sending")
          .thrown(e);
    }
  }

  /**
   * Gives up a request that has not ended: it is cancelled, what still comes for it is dropped, and
   * an agent that does not end it soon is not spoken to any more.
   */
  void abandon(Exchange exchange) {
    if (exchange.ended() || end.isPresent()) {
      return;
    }
    exchange.mute(Frame.MAX_LENGTH);
    try {
      send(new Frame(FrameType.CANCEL, exchange.id()));
      grantForTheEnd(exchange);
    } catch (ForkdException e) {
      // The connection has just ended, and the request with it.
      LOG.debug("event=cancel_not_sent sandbox={} error=\"{}\"", name, e.failure().message());
    }
    Watchdog.after(
        patience,
        () -> {
          if (open.get(exchange.id()) == exchange) {
            breakOff("it did not end a cancelled request within " + patience.toSeconds() + " s");
          }
        });
  }

  /** A killed program's last output must not wait for credit that nobody would give. */
  private void grantForTheEnd(Exchange exchange) {
    for (int stream = 1; stream <= exchange.streams(); stream++) {
      send(
          new Frame(
              FrameType.WINDOW,
              exchange.id(),
              Fields.builder()
                  .integer(FieldKey.STREAM, stream)
                  .integer(FieldKey.BYTES, Frame.MAX_LENGTH)
                  .build()));
    }
  }

  /** Why the connection ended; empty while it lives. */
  Optional<Failure> ended() {
    return end;
  }

  /** Ends the connection from our side; everything open fails with {@code reason}. */
  void close(Failure reason) {
    if (endedFirst(reason)) {
      closeChannel();
      failAll(reason);
    }
  }

  /** Keeps the first reason; false when there is one already. */
  private synchronized boolean endedFirst(Failure reason) {
    if (end.isPresent()) {
      return false;
    }
    end = Optional.of(reason);
    return true;
  }

  private void breakOff(String why) {
    endWith(
        new Failure(
            FailureKind.ENGINE, "sandbox " + name + ": the agent was dropped because " + why),
        false);
  }

  private void endWith(Failure reason, boolean byPeer) {
    // Closing the channel wakes the reader, which comes here too; the first to come tells why.
    if (end.isPresent() || !ending.compareAndSet(false, true)) {
      return;
    }
    if (!byPeer) {
      LOG.warn("event=agent_dropped sandbox={} reason=\"{}\"", name, reason.message());
    }
    closeChannel();
    close(listener.lost(reason, byPeer));
  }

  private void failAll(Failure reason) {
    writer.interrupt();
    open.values().forEach(exchange -> exchange.breakOff(reason));
  }

  private void throwIfEnded() {
    end.ifPresent(reason -> {
      throw reason.thrown();
    });
  }

  private void readLoop() {
    FrameReader reader = new FrameReader(Channels.newInputStream(channel));
    try {
      if (stale) {
        dispatch(reader.skipTo(FrameType.WELCOME, firstId, MAX_STALE));
      }
      for (Optional<Frame> frame = reader.read(); frame.isPresent(); frame = reader.read()) {
        if (!dispatch(frame.get())) {
          breakOff("it sent an unexpected " + FrameType.text(frame.get().type()));
          return;
        }
      }
      endWith(gone("its agent closed the connection"), true);
    } catch (IOException e) {
      endWith(gone("the connection to its agent was lost (" + e + ")"), true);
    } catch (ForkdException e) {
      breakOff(e.failure().message());
    }
  }

  private boolean dispatch(Frame frame) {
    if (frame.id() == 0 && frame.type() == FrameType.RUNTIME_ENDED) {
      listener.runtimeEnded(frame.fields());
      return true;
    }
    Exchange exchange = open.get(frame.id());
    if (exchange == null) {
      return false;
    }
    if (exchange.endsWith(frame)) {
      // Before whoever waits for it is woken: its next request must find the place free.
      forget(frame.id());
    }
    return exchange.accept(frame);
  }

  private void writeLoop() {
    // Not closed here: the reader may still find the agent's last words in the channel.
    OutputStream out = Channels.newOutputStream(channel);
    try {
      while (end.isEmpty()) {
        Outgoing next = outgoing.take();
        try (Watchdog _ = Watchdog.after(patience, () -> breakOff("it reads nothing"))) {
          out.write(next.frame().encoded());
        }
        if (!next.then().await(HOLD.toMillis(), TimeUnit.MILLISECONDS)) {
          LOG.warn("event=hold_given_up sandbox={} seconds={}", name, HOLD.toSeconds());
        }
      }
    } catch (IOException e) {
      LOG.debug("event=agent_write_failed sandbox={} error=\"{}\"", name, e.toString());
    } catch (InterruptedException e) {
      LOG.trace("event=agent_writer_ended sandbox={}", name);
    }
  }

  private void closeChannel() {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.warn("event=agent_close_failed sandbox={} error=\"{}\"", name, e.toString());
    }
  }

  private Failure gone(String how) {
    return new Failure(FailureKind.ENGINE, "sandbox " + name + " ended: " + how);
  }
}
