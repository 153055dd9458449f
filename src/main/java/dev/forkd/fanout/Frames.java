package dev.forkd.fanout;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The controller's frames: length of what follows (4 bytes), kind (1), worker or code (4), body. It
 * runs the user's code, so what it says is checked.
 */
final class Frames {
  /** One frame. */
  record Frame(char kind, int number, byte[] body) {}

  static final int MAX = 64 << 20;
  private static final int BODY = 5;
  private static final int HEAD = 4 + BODY;

  private byte[] buffer = new byte[1 << 16];
  private int length;

  /** The bytes of a frame. */
  static byte[] of(char kind, int number, byte[] body, int offset, int count) {
    return ByteBuffer.allocate(HEAD + count)
        .putInt(BODY + count)
        .put((byte) kind)
        .putInt(number)
        .put(body, offset, count)
        .array();
  }

  /**
   * The frames that these bytes complete.
   *
   * @throws ForkdException ENGINE when they are none
   */
  List<Frame> feed(byte[] bytes) {
    if (length + bytes.length > buffer.length) {
      buffer = Arrays.copyOf(buffer, Math.max(length + bytes.length, 2 * buffer.length));
    }
    System.arraycopy(bytes, 0, buffer, length, bytes.length);
    length += bytes.length;
    List<Frame> frames = new ArrayList<>();
    ByteBuffer at = ByteBuffer.wrap(buffer, 0, length);
    while (at.remaining() >= HEAD) {
      int size = at.getInt(at.position());
      if (size < BODY || size > MAX) {
        throw new ForkdException(
            FailureKind.ENGINE, "the test run's controller sent a frame of " + size + " bytes");
      }
      if (at.remaining() < 4 + size) {
        break;
      }
      at.getInt();
      char kind = (char) (at.get() & 0xff);
      int number = at.getInt();
      byte[] body = new byte[size - BODY];
      at.get(body);
      frames.add(new Frame(kind, number, body));
    }
    System.arraycopy(buffer, at.position(), buffer, 0, at.remaining());
    length = at.remaining();
    return frames;
  }
}
