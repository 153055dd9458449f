package dev.forkd.service;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.TerminalSize;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Commands: {@code echo ARGS}, {@code err ARGS}, {@code exit N}, {@code cat}, {@code wait} (until a
 * signal), {@code late} (times out), {@code binary}, {@code split} (a character in two chunks),
 * {@code flood N} (MiB). A call echoes what it was asked to call.
 */
public final class FakeProgram implements RunningProgram {
  private final BlockingQueue<ProgramEvent> events = new LinkedBlockingQueue<>();
  private final ByteArrayOutputStream input = new ByteArrayOutputStream();
  private final AtomicBoolean closed = new AtomicBoolean();
  private final boolean cat;
  private final List<TerminalSize> resized = new CopyOnWriteArrayList<>();

  FakeProgram(ProgramSpec spec) {
    this.cat = spec.program() instanceof Program.Exec(var args) && args.getFirst().equals("cat");
    switch (spec.program()) {
      case Program.Exec(var args) -> exec(args.getFirst(), args.subList(1, args.size()), spec);
      case Program.Connect(var port) -> say("HTTP/1.0 200 OK\r\n\r\nport " + port, 0);
      case Program.CallModule(var module, var args) -> say("module " + module + " " + args, 0);
      case Program.CallFile(var path, var args) -> say("file " + path + " " + args, 0);
      case Program.CallCode(var code, var args) -> say("code " + code + " " + args, 0);
    }
  }

  private void exec(String command, List<String> args, ProgramSpec spec) {
    switch (command) {
      case "err" -> {
        output(2, String.join(" ", args).getBytes(UTF_8));
        exit(0, 0, false);
      }
      case "exit" -> exit(Integer.parseInt(args.getFirst()), 0, false);
      case "cat" -> {
        if (!spec.stdin()) {
          exit(0, 0, false);
        }
      }
      case "wait" -> {}
      case "late" -> exit(0, 15, true);
      case "binary" -> {
        output(1, new byte[] {(byte) 0xff, 0, (byte) 0xfe});
        exit(0, 0, false);
      }
      case "split" -> {
        byte[] text = "aé€😀z".getBytes(UTF_8);
        for (byte b : text) {
          output(1, new byte[] {b});
        }
        exit(0, 0, false);
      }
      case "flood" -> {
        byte[] chunk = new byte[64 << 10];
        Arrays.fill(chunk, (byte) 'x');
        for (int i = 0; i < 16 * Integer.parseInt(args.getFirst()); i++) {
          output(1, chunk.clone());
        }
        exit(0, 0, false);
      }
      default -> say(String.join(" ", args) + (command.equals("echo") ? "" : command), 0);
    }
  }

  private void say(String text, int code) {
    output(1, (text + "\n").getBytes(UTF_8));
    exit(code, 0, false);
  }

  private void output(int stream, byte[] bytes) {
    events.add(new ProgramEvent.Output(stream, bytes));
  }

  private void exit(int code, int signal, boolean timedOut) {
    events.add(
        new ProgramEvent.Exited(
            new ExitStatus(code, signal, timedOut, false, Duration.ofMillis(12))));
  }

  public boolean closed() {
    return closed.get();
  }

  @Override
  public long pid() {
    return 42;
  }

  @Override
  public ProgramEvent next(Duration deadline) {
    try {
      ProgramEvent event = events.poll(deadline.toNanos(), TimeUnit.NANOSECONDS);
      if (event == null) {
        throw new ForkdException(FailureKind.TIMEOUT, "no event yet");
      }
      return event;
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public synchronized void write(byte[] bytes, int offset, int length) {
    if (closed()) {
      throw new ForkdException(FailureKind.CONFLICT, "it ended before it took all of its input");
    }
    input.write(bytes, offset, length);
  }

  @Override
  public synchronized void closeInput() {
    if (cat) {
      output(1, input.toByteArray());
      exit(0, 0, false);
    }
  }

  @Override
  public void signal(int number) {
    exit(0, number, false);
  }

  /** The sizes that its terminal was told. */
  public List<TerminalSize> resized() {
    return resized;
  }

  @Override
  public void resize(TerminalSize size) {
    resized.add(size);
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      exit(0, 9, false);
    }
  }
}
