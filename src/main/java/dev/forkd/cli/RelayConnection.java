package dev.forkd.cli;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameReader;
import dev.forkd.frame.FrameType;
import dev.forkd.frame.FrameWriter;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.TerminalSize;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** One relayed command: its caller's end is {@code native/cli}. */
final class RelayConnection implements AutoCloseable {
  private static final int ID = 1;
  private static final int MAX_SIGNAL = 64;

  private final SocketChannel channel;
  private final Wiring wiring;
  private final FrameReader reader;
  private final FrameWriter writer;
  private final RelayInput input = new RelayInput(this::grantInput);
  private final RelayOutput out = new RelayOutput(1, this::send);
  private final RelayOutput err = new RelayOutput(2, this::send);
  private final AtomicInteger interruptedBy = new AtomicInteger();
  private volatile Consumer<TerminalSize> sized = size -> {};

  RelayConnection(SocketChannel channel, Wiring wiring) {
    this.channel = channel;
    this.wiring = wiring;
    this.reader = new FrameReader(Channels.newInputStream(channel));
    this.writer = new FrameWriter(Channels.newOutputStream(channel));
  }

  /** Runs the command on this thread. Returns when its exit code is told or its caller is gone. */
  void run() {
    try {
      Optional<Frame> request = reader.read();
      if (request.isEmpty() || request.get().type() != FrameType.EXEC) {
        return;
      }
      Fields fields = request.get().fields();
      if (fields.integer(FieldKey.VERSION, 0, 0, Integer.MAX_VALUE) != Frame.PROTOCOL_VERSION) {
        return; // another build: hanging up tells the caller to run its command by itself
      }
      send(new Frame(FrameType.STARTED, ID));
      int code = execute(fields);
      send(new Frame(FrameType.EXITED, ID, fields(FieldKey.EXIT_CODE, code)));
    } catch (IOException | ForkdException e) {
      // The caller went away, or spoke nonsense: there is nobody left to tell.
      close();
    }
  }

  private static Fields fields(int key, long value) {
    return Fields.builder().integer(key, value).build();
  }

  private int execute(Fields request) {
    Thread command = Thread.currentThread();
    Signals signals =
        new Signals(number -> {
          interruptedBy.set(number);
          command.interrupt();
        });
    Thread.ofVirtual().name("relay-reader").start(() -> receive(signals, command));
    int code = Cli.run(request.texts(FieldKey.ARGV), console(request, signals), wiring);
    // From here on an interrupt would only tear the socket apart that the exit code goes over.
    boolean late = Thread.interrupted();
    int signal = interruptedBy.get();
    return signal > 0 && (late || code != 0) ? 128 + signal : code;
  }

  private Console console(Fields request, Signals signals) {
    Map<String, String> env = new HashMap<>();
    for (String entry : request.texts(FieldKey.ENV)) {
      int equals = entry.indexOf('=');
      if (equals > 0) {
        env.put(entry.substring(0, equals), entry.substring(equals + 1));
      }
    }
    Console.Terminal terminal =
        Console.Terminal.of(
            env.getOrDefault("FORKD_TTY", "000"), env.getOrDefault("COLUMNS", "80"));
    return new Console(
        request.flag(FieldKey.STDIN) ? input : Console.NO_INPUT,
        print(out, terminal.out()),
        print(err, true),
        env,
        Path.of(request.text(FieldKey.CWD)),
        terminal,
        terminal.in() ? this::raw : Screen.NONE,
        signals);
  }

  // The caller sets its terminal back when the command ends, however it ends.
  private Screen.Raw raw(Consumer<TerminalSize> wanted) {
    sized = wanted;
    try {
      send(new Frame(FrameType.TERMINAL, ID));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return () -> sized = size -> {};
  }

  private static PrintStream print(OutputStream stream, boolean byLine) {
    return new PrintStream(new BufferedOutputStream(stream), byLine, StandardCharsets.UTF_8);
  }

  private void receive(Signals signals, Thread command) {
    try {
      Optional<Frame> frame = reader.read();
      while (frame.isPresent()) {
        accept(frame.get().type(), frame.get().fields(), signals);
        frame = reader.read();
      }
    } catch (IOException | ForkdException e) {
      // Lost or out of step: either way the command has no caller any more, as at the end.
      interruptedBy.set(Signals.SIGTERM);
    } finally {
      close();
      command.interrupt();
    }
  }

  private void accept(int type, Fields fields, Signals signals) {
    switch (type) {
      case FrameType.INPUT -> input.add(fields.bytes(FieldKey.DATA), fields.flag(FieldKey.EOF));
      case FrameType.WINDOW -> {
        long bytes = fields.integer(FieldKey.BYTES, 0, 0, Frame.MAX_LENGTH);
        (fields.integer(FieldKey.STREAM, 1, 1, 2) == 1 ? out : err).credit(bytes);
      }
      case FrameType.RESIZE ->
          sized.accept(
              new TerminalSize(
                  (int) fields.integer(FieldKey.ROWS, TerminalSize.USUAL.rows(), 1, 10_000),
                  (int) fields.integer(FieldKey.COLUMNS, TerminalSize.USUAL.columns(), 1, 10_000)));
      case FrameType.SIGNAL -> {
        int number = (int) fields.integer(FieldKey.SIGNAL, Signals.SIGTERM, 1, MAX_SIGNAL);
        // A handler may wait for the daemon; this thread has windows and input to bring meanwhile.
        Thread.ofVirtual().name("relay-signal").start(() -> signals.raise(number));
      }
      default -> throw new ForkdException(FailureKind.INVALID, FrameType.text(type));
    }
  }

  private void grantInput(long bytes) throws IOException {
    send(
        new Frame(
            FrameType.WINDOW_STDIN,
            ID,
            Fields.builder().integer(FieldKey.STREAM, 0).integer(FieldKey.BYTES, bytes).build()));
  }

  /** Sends a frame; an interrupt that is pending stays so but does not close the socket. */
  private void send(Frame frame) throws IOException {
    boolean interrupted = Thread.interrupted();
    try {
      writer.write(frame);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Hangs up: whatever waits for the caller ends with an exception. */
  @Override
  public void close() {
    input.close();
    out.end();
    err.end();
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
