package dev.forkd.engine.process;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameReader;
import dev.forkd.frame.FrameType;
import dev.forkd.frame.FrameWriter;
import dev.forkd.host.Deadline;
import dev.forkd.host.Subprocess;
import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One life of the launcher: requests by id, each with a deadline; events; its end. */
final class LauncherClient implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LauncherClient.class);

  /** It kills and waits for everything it made when its stdin closes. */
  private static final Duration GRACE = Duration.ofSeconds(20);

  private static final Duration HELLO_WAIT = Duration.ofSeconds(10);
  private static final Duration WRITE_WAIT = Duration.ofSeconds(30);
  private static final Duration END_OTHERS_WAIT = Duration.ofSeconds(30);
  private static final Duration DISMISS_WAIT = Duration.ofSeconds(35);
  private static final Duration END_WAIT = Duration.ofSeconds(2);
  private static final Duration READER_WAIT = END_WAIT.multipliedBy(2);

  private final LauncherPeer process;
  private final boolean outlives;
  private final FrameWriter writer;
  private final Listener listener;
  private final Map<Integer, LauncherCall> open = new ConcurrentHashMap<>();
  private final AtomicInteger ids = new AtomicInteger();
  private final CountDownLatch readerDone = new CountDownLatch(1);
  private volatile Optional<Failure> end = Optional.empty();

  /** What the launcher tells without being asked. Called on its reader's thread: must not block. */
  interface Listener {
    /** SANDBOX_ENDED, RUNTIME_LOST or TEMPLATE_ENDED. */
    void event(Frame frame);

    /** It has ended, and everything below it; not called when it was closed. */
    void ended(Failure reason);
  }

  private LauncherClient(LauncherPeer process, boolean outlives, Listener listener) {
    this.process = process;
    this.outlives = outlives;
    this.writer = new FrameWriter(process.stdin());
    this.listener = listener;
  }

  /** A started launcher and what it said of the host. */
  record Greeted(LauncherClient client, String report) {}

  /**
   * Starts a launcher and greets it.
   *
   * @param grace how long it outlives a daemon that goes away; zero = not at all
   * @throws ForkdException UNSUPPORTED when it cannot be executed or cannot work on this host
   */
  static Greeted start(ProcessPaths paths, Duration grace, Listener listener) {
    Subprocess process = Subprocess.start(List.of(paths.launcher().toString()), Map.of(), GRACE);
    LauncherClient client =
        new LauncherClient(new LauncherPeer.Started(process), !grace.isZero(), listener);
    client.startReader();
    try {
      Fields hello =
          Fields.builder()
              .integer(FieldKey.VERSION, Frame.PROTOCOL_VERSION)
              .text(FieldKey.RUN_DIR, paths.socketDir().toString())
              .text(FieldKey.INSTANCE, paths.instance())
              .integer(FieldKey.GRACE_MS, grace.toMillis())
              .text(FieldKey.BUILD, grace.isZero() ? "" : paths.build())
              .build();
      Fields welcome = client.call(FrameType.L_HELLO, hello, HELLO_WAIT, "starting the launcher");
      LOG.info("event=launcher_started pid={}", process.pid());
      return new Greeted(client, welcome.text(FieldKey.REPORT));
    } catch (ForkdException e) {
      client.close();
      throw e;
    }
  }

  private void startReader() {
    // A platform thread: a blocked read of a pipe would hold a carrier of the virtual threads.
    Thread.ofPlatform().daemon().name("launcher-reader").start(this::readLoop);
  }

  /** A launcher that was found, and what it said of itself and of what it has. */
  record Found(LauncherClient client, Fields answer) {}

  /**
   * Takes over the launcher at the other end of a connection.
   *
   * @throws ForkdException UNSUPPORTED when it belongs to another version of forkd; it has been
   *     told to end then, and has
   */
  static Found adopt(SocketChannel channel, ProcessPaths paths, Listener listener) {
    FoundLauncher process = new FoundLauncher(channel);
    LauncherClient client = new LauncherClient(process, true, listener);
    client.startReader();
    try {
      Fields asked =
          Fields.builder()
              .integer(FieldKey.VERSION, Frame.PROTOCOL_VERSION)
              .text(FieldKey.BUILD, paths.build())
              .build();
      Fields answer = client.call(FrameType.L_ADOPT, asked, HELLO_WAIT, "adopting the launcher");
      process.introduce(answer.integer(FieldKey.PID, 0, 1, Integer.MAX_VALUE));
      LOG.info("event=launcher_adopted pid={}", process.pid());
      return new Found(client, answer);
    } catch (ForkdException e) {
      client.dismiss();
      throw e;
    }
  }

  /** Ends the launcher at the other end of a connection; returns when it is gone. */
  static void dismiss(SocketChannel channel, Listener listener) {
    LauncherClient client = new LauncherClient(new FoundLauncher(channel), true, listener);
    client.startReader();
    client.dismiss();
  }

  // Its channel closes when it ends, and everything below it has ended by then.
  private void dismiss() {
    try {
      write(new Frame(FrameType.L_STOP, 0, Fields.NONE));
      if (!readerDone.await(DISMISS_WAIT.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new ForkdException(
            FailureKind.TIMEOUT,
            "the launcher of an earlier daemon does not end: end forkd-launcher by hand");
      }
    } catch (IOException e) {
      LOG.debug("event=launcher_gone_before error=\"{}\"", e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      endedFirst(new Failure(FailureKind.ENGINE, "the launcher was stopped"));
      process.letGo();
    }
  }

  /** Its process id. */
  long pid() {
    return process.pid();
  }

  /** Whether it lives. */
  boolean alive() {
    return end.isEmpty();
  }

  /** Asks, and waits for the answer; an ERROR is thrown with {@code about} in front. */
  Fields call(int type, Fields fields, Duration wait, String about) {
    return call(type, fields, wait, about, _ -> {});
  }

  /** As above; log output that comes before the answer goes to {@code log}. */
  Fields call(int type, Fields fields, Duration wait, String about, Consumer<byte[]> log) {
    Deadline deadline = Deadline.after(wait);
    return call(type, fields, about, call -> call.await(deadline, log));
  }

  /**
   * Makes it end what the fields name; returns when that is gone, be it because the launcher is
   * gone. An interrupt of the caller does not cut this short.
   */
  void end(int type, Fields fields, String about) {
    Deadline deadline = Deadline.after(END_OTHERS_WAIT);
    try {
      if (alive()) {
        call(type, fields, about, call -> call.awaitUninterrupted(deadline));
      }
    } catch (ForkdException e) {
      if (alive()) {
        throw e;
      }
      LOG.debug("event=ended_with_launcher what=\"{}\"", about);
    }
  }

  private Fields call(int type, Fields fields, String about, Function<LauncherCall, Frame> await) {
    LauncherCall call = new LauncherCall();
    int id = register(call);
    try {
      write(new Frame(type, id, fields));
      Frame answer = await.apply(call);
      if (answer.type() == FrameType.ERROR) {
        throw ErrorFrame.failure(about, answer.fields()).thrown();
      }
      return answer.fields();
    } catch (IOException e) {
      // It is gone; how it ended, which the reader finds out, says more than the broken pipe.
      awaitReader(READER_WAIT);
      throw end.orElse(new Failure(FailureKind.ENGINE, about + ": " + e)).thrown(e);
    } finally {
      open.remove(id);
    }
  }

  private int register(LauncherCall call) {
    int id = ids.incrementAndGet();
    while (id == 0 || open.putIfAbsent(id, call) != null) {
      id = ids.incrementAndGet();
    }
    // After the entry is there: an end that is told now either finds it or is seen here.
    end.ifPresent(call::breakOff);
    return id;
  }

  private void write(Frame frame) throws IOException {
    try (Watchdog _ = Watchdog.after(WRITE_WAIT, this::close)) {
      writer.write(frame);
    }
  }

  private void readLoop() {
    FrameReader reader = new FrameReader(process.stdout());
    String how = "";
    try {
      for (Optional<Frame> frame = reader.read(); frame.isPresent(); frame = reader.read()) {
        dispatch(frame.get());
      }
    } catch (IOException | ForkdException e) {
      how = e.getMessage() + "; ";
    } finally {
      endWith(how);
      readerDone.countDown();
    }
  }

  private void dispatch(Frame frame) {
    if (frame.id() == 0) {
      listener.event(frame);
      return;
    }
    LauncherCall call = open.get(frame.id());
    // An answer nobody waits for any more belongs to a call whose deadline has passed.
    if (call != null && call.accept(frame)) {
      open.remove(frame.id(), call);
    }
  }

  private void endWith(String how) {
    Optional<String> status = process.end(END_WAIT);
    String said = process.stderrTail().strip();
    Failure reason =
        new Failure(
            FailureKind.ENGINE,
            "the launcher "
                + status.orElse("closed its pipe")
                + "; "
                + how
                + "every sandbox has ended with it",
            said);
    if (endedFirst(reason)) {
      LOG.error(
          "event=launcher_lost pid={} reason=\"{}\" stderr=\"{}\"", pid(), reason.message(), said);
      failOpen(reason);
      listener.ended(reason);
      process.close();
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

  private void failOpen(Failure reason) {
    open.values().forEach(call -> call.breakOff(reason));
  }

  /** Leaves it, and every template and sandbox, to the next daemon. */
  void leave() {
    Failure reason = new Failure(FailureKind.ENGINE, "the daemon is stopping");
    if (endedFirst(reason)) {
      process.letGo();
      failOpen(reason);
      LOG.info("event=launcher_left pid={}", pid());
    }
  }

  /** Ends it, and with it every template and sandbox; returns when they are gone. */
  @Override
  public void close() {
    Failure reason = new Failure(FailureKind.ENGINE, "the launcher was stopped");
    boolean first = endedFirst(reason);
    if (outlives) {
      process.terminate();
      awaitReader(DISMISS_WAIT);
    }
    process.close();
    if (first) {
      failOpen(reason);
      LOG.info("event=launcher_stopped pid={}", pid());
    }
    awaitReader(READER_WAIT);
  }

  private void awaitReader(Duration wait) {
    try {
      if (!readerDone.await(wait.toMillis(), TimeUnit.MILLISECONDS)) {
        LOG.warn("event=launcher_reader_stuck pid={}", pid());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
