package dev.forkd.cli;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;

/** One output stream of the caller: writing waits while the caller does not take it. */
final class RelayOutput extends OutputStream {
  private static final int CHUNK = 32 * 1024;

  /** Sends a frame to the caller. */
  interface Sender {
    void send(Frame frame) throws IOException;
  }

  private final int stream;
  private final Sender sender;
  private long credit = Frame.DEFAULT_WINDOW;
  private boolean ended;

  RelayOutput(int stream, Sender sender) {
    this.stream = stream;
    this.sender = sender;
  }

  /** The caller took so many bytes. */
  synchronized void credit(long bytes) {
    credit = Math.min(Frame.DEFAULT_WINDOW, credit + bytes);
    notifyAll();
  }

  /** The caller is gone: every write fails from now on. */
  synchronized void end() {
    ended = true;
    notifyAll();
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    int done = 0;
    while (done < length) {
      int n = reserve(Math.min(CHUNK, length - done));
      Fields fields =
          Fields.builder()
              .integer(FieldKey.STREAM, stream)
              .bytes(FieldKey.DATA, bytes, offset + done, n)
              .build();
      sender.send(new Frame(FrameType.OUTPUT, 1, fields));
      done += n;
    }
  }

  private synchronized int reserve(int wanted) throws IOException {
    while (credit == 0 && !ended) {
      try {
        wait();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted while the caller does not read");
      }
    }
    if (ended) {
      throw new IOException("the caller is gone");
    }
    int n = (int) Math.min(wanted, credit);
    credit -= n;
    return n;
  }
}
