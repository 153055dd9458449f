package dev.forkd.frame;

import java.nio.ByteBuffer;

/**
 * One frame.
 *
 * @param type 0..255, see {@link FrameType}; types nobody knows are representable
 * @param id of the request it belongs to, an unsigned 32-bit number; 0 = an event
 * @param fields its payload
 */
public record Frame(int type, int id, Fields fields) {
  /** The largest value of the length word: type, id and payload. */
  public static final int MAX_LENGTH = 1 << 20;

  /** The most bytes of one {@code data} field. */
  public static final int MAX_DATA = 65_536;

  /** Output credit of a stream, in bytes, when a request names none; also the input credit. */
  public static final int DEFAULT_WINDOW = 262_144;

  /** The version of the protocol that this code speaks. */
  public static final int PROTOCOL_VERSION = 1;

  /** Type and id: what the length word counts beside the payload. */
  static final int MIN_LENGTH = 5;

  static final int MAX_PAYLOAD = MAX_LENGTH - MIN_LENGTH;

  /** A frame without fields. */
  public Frame(int type, int id) {
    this(type, id, Fields.NONE);
  }

  /** The bytes that travel. */
  public byte[] encoded() {
    int length = MIN_LENGTH + fields.size();
    ByteBuffer out = ByteBuffer.allocate(Integer.BYTES + length);
    out.putInt(length).put((byte) type).putInt(id);
    fields.appendTo(out);
    return out.array();
  }
}
