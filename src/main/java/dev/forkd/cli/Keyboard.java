package dev.forkd.cli;

import dev.forkd.client.ProgramStream;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Optional;

/**
 * Standard input of a command, carried to one program after another. A read that waits for a key
 * cannot be taken back, so one thread reads for all of them: what it has read when its program is
 * gone is the next one's, and nothing more is read before there is one. Thread-safe.
 */
final class Keyboard implements AutoCloseable {
  private static final int CHUNK = 32 * 1024;
  private static final byte[] NOTHING = {};

  private final InputStream in;
  private Optional<ProgramStream> program = Optional.empty();
  private Optional<Thread> reader = Optional.empty();
  private byte[] kept = NOTHING;

  Keyboard(InputStream in) {
    this.in = in;
  }

  /** From now on input goes to that program, until this is closed. */
  synchronized Connection connect(ProgramStream to) {
    program = Optional.of(to);
    if (reader.isEmpty()) {
      reader = Optional.of(Thread.ofVirtual().name("stdin").start(this::read));
    }
    return this::disconnect;
  }

  private synchronized void disconnect() {
    program = Optional.empty();
  }

  private void read() {
    byte[] chunk = new byte[CHUNK];
    try {
      byte[] first = takeKept();
      boolean wanted = first.length == 0 || deliver(first);
      while (wanted) {
        int n = in.read(chunk);
        wanted = n >= 0 && deliver(Arrays.copyOf(chunk, n));
        if (n < 0) {
          end();
        }
      }
    } catch (IOException | ForkdException e) {
      // A program may end, or close its stdin, before it has read everything: as with a pipe,
      // that is its own affair. Trouble of the connection is met by the thread that reads events.
      Thread.currentThread().interrupt();
    } finally {
      forget();
    }
  }

  private synchronized void forget() {
    if (reader.filter(Thread.currentThread()::equals).isPresent()) {
      reader = Optional.empty(); // by now it can be another one
    }
  }

  private synchronized byte[] takeKept() {
    byte[] taken = kept;
    kept = NOTHING;
    return taken;
  }

  /** False when there is nobody: it is kept, and reading on is for another time. */
  private boolean deliver(byte[] bytes) {
    Optional<ProgramStream> to = target(bytes);
    to.ifPresent(stream -> stream.write(bytes, 0, bytes.length));
    return to.isPresent();
  }

  private synchronized Optional<ProgramStream> target(byte[] otherwiseKept) {
    if (program.isEmpty()) {
      kept = otherwiseKept;
      reader = Optional.empty();
    }
    return program;
  }

  private void end() {
    current().ifPresent(ProgramStream::closeInput);
  }

  private synchronized Optional<ProgramStream> current() {
    return program;
  }

  @Override
  public synchronized void close() {
    program = Optional.empty();
    reader.ifPresent(Thread::interrupt);
  }

  /** A program that is given the input. */
  interface Connection extends AutoCloseable {
    @Override
    void close();
  }
}
