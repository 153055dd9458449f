package dev.forkd.frame;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * An ordered list of fields, encoded as they travel. Immutable; well-formed by construction, so
 * reading never runs over the end. Keys that nobody asks for are skipped.
 */
public final class Fields {
  /** No fields. */
  public static final Fields NONE = new Fields(new byte[0]);

  private static final int HEADER = 5;

  private final byte[] encoded;

  private Fields(byte[] encoded) {
    this.encoded = encoded;
  }

  /**
   * Fields that somebody sent. The array is owned by the result.
   *
   * @throws ForkdException ENGINE when a field runs over the end
   */
  public static Fields parse(byte[] encoded) {
    int at = 0;
    while (at < encoded.length) {
      int left = encoded.length - at - HEADER;
      // Unsigned: a length of 2^31 or more must not come out negative and pass.
      if (left < 0 || Integer.compareUnsigned(lengthAt(encoded, at), left) > 0) {
        throw broken("a field runs over the end of its frame");
      }
      at += HEADER + lengthAt(encoded, at);
    }
    return new Fields(encoded);
  }

  /** A way to make fields. */
  public static Builder builder() {
    return new Builder();
  }

  /** Whether a field with that key is there. */
  public boolean has(int key) {
    return find(key) >= 0;
  }

  /** The first text of that key, decoded leniently; "" when absent. */
  public String text(int key) {
    int at = find(key);
    return at < 0 ? "" : decoded(at);
  }

  /** Every text of that key, in order. */
  public List<String> texts(int key) {
    List<String> found = new ArrayList<>();
    for (int at = 0; at < encoded.length; at = next(at)) {
      if (keyAt(at) == key) {
        found.add(decoded(at));
      }
    }
    return List.copyOf(found);
  }

  /**
   * The first integer of that key; {@code fallback} when absent.
   *
   * @throws ForkdException ENGINE when it is not 8 bytes long or outside {@code min..max}
   */
  public long integer(int key, long fallback, long min, long max) {
    int at = find(key);
    if (at < 0) {
      return fallback;
    }
    if (lengthAt(encoded, at) != Long.BYTES) {
      throw broken("field " + key + " is not an integer");
    }
    long value = ByteBuffer.wrap(encoded).getLong(at + HEADER);
    if (value < min || value > max) {
      throw broken("field " + key + " is " + value + ", outside " + min + ".." + max);
    }
    return value;
  }

  /** The first flag of that key; false when absent. */
  public boolean flag(int key) {
    return integer(key, 0, 0, 1) == 1;
  }

  /** A copy of the first field of that key; empty when absent. */
  public byte[] bytes(int key) {
    int at = find(key);
    return at < 0 ? new byte[0] : valueAt(at);
  }

  /** Every field of that key read as fields in turn, in order. */
  public List<Fields> nested(int key) {
    List<Fields> found = new ArrayList<>();
    for (int at = 0; at < encoded.length; at = next(at)) {
      if (keyAt(at) == key) {
        found.add(parse(valueAt(at)));
      }
    }
    return List.copyOf(found);
  }

  /** Encoded size in bytes. */
  public int size() {
    return encoded.length;
  }

  void appendTo(ByteBuffer out) {
    out.put(encoded);
  }

  private int find(int key) {
    for (int at = 0; at < encoded.length; at = next(at)) {
      if (keyAt(at) == key) {
        return at;
      }
    }
    return -1;
  }

  private int keyAt(int at) {
    return encoded[at] & 0xFF;
  }

  private int next(int at) {
    return at + HEADER + lengthAt(encoded, at);
  }

  private byte[] valueAt(int at) {
    return Arrays.copyOfRange(encoded, at + HEADER, next(at));
  }

  private String decoded(int at) {
    // Malformed UTF-8 becomes U+FFFD; so does NUL, which no text of the protocol may hold.
    return new String(encoded, at + HEADER, lengthAt(encoded, at), UTF_8).replace('\0', '\uFFFD');
  }

  private static int lengthAt(byte[] bytes, int at) {
    return ByteBuffer.wrap(bytes).getInt(at + 1);
  }

  private static ForkdException broken(String why) {
    return new ForkdException(FailureKind.ENGINE, "the frame protocol was broken: " + why);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Fields fields && Arrays.equals(encoded, fields.encoded);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(encoded);
  }

  @Override
  public String toString() {
    return "Fields[" + encoded.length + " bytes]";
  }

  /** Collects fields. Not thread-safe. */
  public static final class Builder {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(128);

    private Builder() {}

    /** Appends a text. INVALID when it holds a NUL. */
    public Builder text(int key, String text) {
      if (text.indexOf('\0') >= 0) {
        throw new ForkdException(FailureKind.INVALID, "a text must not contain a NUL character");
      }
      return bytes(key, text.getBytes(UTF_8));
    }

    /** Appends a text for each of {@code texts}. */
    public Builder texts(int key, Iterable<String> texts) {
      texts.forEach(text -> text(key, text));
      return this;
    }

    /** Appends a {@code K=V} text for each entry. */
    public Builder entries(int key, Map<String, String> entries) {
      entries.forEach((name, value) -> text(key, name + "=" + value));
      return this;
    }

    /** Appends an integer. */
    public Builder integer(int key, long value) {
      return bytes(key, ByteBuffer.allocate(Long.BYTES).putLong(value).array());
    }

    /** Appends a flag. */
    public Builder flag(int key, boolean value) {
      return integer(key, value ? 1 : 0);
    }

    /** Appends bytes. */
    public Builder bytes(int key, byte[] bytes) {
      return bytes(key, bytes, 0, bytes.length);
    }

    /**
     * Appends a part of an array.
     *
     * @throws ForkdException TOO_LARGE when that is more than any frame can carry
     */
    public Builder bytes(int key, byte[] bytes, int offset, int length) {
      if (out.size() + HEADER + (long) length > Frame.MAX_PAYLOAD) {
        throw new ForkdException(
            FailureKind.TOO_LARGE,
            "the request is larger than one frame may be (" + Frame.MAX_LENGTH + " bytes)");
      }
      out.writeBytes(ByteBuffer.allocate(HEADER).put((byte) key).putInt(length).array());
      out.write(bytes, offset, length);
      return this;
    }

    /** Appends fields as one field. */
    public Builder nested(int key, Fields fields) {
      return bytes(key, fields.encoded);
    }

    /** What was collected. */
    public Fields build() {
      return new Fields(out.toByteArray());
    }
  }
}
