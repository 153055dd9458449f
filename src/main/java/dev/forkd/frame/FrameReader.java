package dev.forkd.frame;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;

/** Takes frames from a stream and enforces their limits. Not thread-safe. */
public final class FrameReader {
  private static final int BUFFER = 8_192;

  private final InputStream in;

  /** A reader that owns reading from the stream; closing it stays the caller's. */
  public FrameReader(InputStream in) {
    this.in = new BufferedInputStream(in, BUFFER);
  }

  /**
   * Reads away whatever comes before a certain frame, and returns that: for a stream that somebody
   * else has read a part of.
   *
   * @param id hard to guess, as it is looked for in the middle of foreign data
   * @param limit of bytes to read away
   * @throws ForkdException ENGINE when there are more; EOFException when the stream ends before
   */
  public Frame skipTo(int type, int id, long limit) throws IOException {
    ByteBuffer window = ByteBuffer.allocate(Integer.BYTES + Frame.MIN_LENGTH);
    byte[] first = in.readNBytes(window.capacity());
    if (first.length < window.capacity()) {
      throw new EOFException("the stream ended before the agent answered");
    }
    window.put(0, first);
    for (long skipped = 0; skipped < limit; skipped++) {
      int length = window.getInt(0);
      if ((window.get(Integer.BYTES) & 0xFF) == type
          && window.getInt(Integer.BYTES + 1) == id
          && length >= Frame.MIN_LENGTH
          && length <= Frame.MAX_LENGTH) {
        byte[] payload = in.readNBytes(length - Frame.MIN_LENGTH);
        if (payload.length < length - Frame.MIN_LENGTH) {
          throw new EOFException("the stream ended inside a frame");
        }
        return new Frame(type, id, Fields.parse(payload));
      }
      int next = in.read();
      if (next < 0) {
        throw new EOFException("the stream ended before the agent answered");
      }
      window.put(0, window.array(), 1, window.capacity() - 1);
      window.put(window.capacity() - 1, (byte) next);
    }
    throw new ForkdException(
        FailureKind.ENGINE, "no answer among " + limit + " bytes that somebody else asked for");
  }

  /**
   * The next frame; blocks. Empty when the stream ends between two frames.
   *
   * @throws EOFException when it ends inside a frame
   * @throws ForkdException ENGINE when the sender broke the protocol; it is out of step from there
   */
  public Optional<Frame> read() throws IOException {
    byte[] word = in.readNBytes(Integer.BYTES);
    if (word.length == 0) {
      return Optional.empty();
    }
    if (word.length < Integer.BYTES) {
      throw new EOFException("the stream ended inside a frame");
    }
    int length = ByteBuffer.wrap(word).getInt();
    if (length < Frame.MIN_LENGTH || length > Frame.MAX_LENGTH) {
      throw new ForkdException(
          FailureKind.ENGINE,
          "the frame protocol was broken: a frame of "
              + Integer.toUnsignedString(length)
              + " bytes is outside "
              + Frame.MIN_LENGTH
              + ".."
              + Frame.MAX_LENGTH);
    }
    // readNBytes grows with what arrives: a length alone cannot make us allocate a megabyte.
    byte[] body = in.readNBytes(length);
    if (body.length < length) {
      throw new EOFException("the stream ended inside a frame");
    }
    ByteBuffer header = ByteBuffer.wrap(body);
    int type = header.get() & 0xFF;
    int id = header.getInt();
    return Optional.of(
        new Frame(type, id, Fields.parse(Arrays.copyOfRange(body, Frame.MIN_LENGTH, length))));
  }
}
