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
