package dev.forkd.frame;

import java.io.IOException;
import java.io.OutputStream;
import java.util.concurrent.locks.ReentrantLock;

/** Puts frames on a stream, each whole. Thread-safe. */
public final class FrameWriter {
  private final ReentrantLock lock = new ReentrantLock();
  private final OutputStream out;

  /** A writer that owns writing to the stream; closing it stays the caller's. */
  public FrameWriter(OutputStream out) {
    this.out = out;
  }

  /** Writes and flushes one frame; blocks while the stream does and while others write. */
  public void write(Frame frame) throws IOException {
    byte[] encoded = frame.encoded();
    lock.lock();
    try {
      out.write(encoded);
      out.flush();
    } finally {
      lock.unlock();
    }
  }
}
