package dev.forkd.api;

import dev.forkd.json.Json;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * One output stream as events: text where the bytes are UTF-8, base64 where they are not or hold
 * many control characters. A character that is cut at the end of a chunk is held back until the
 * rest of it comes.
 */
final class OutputText {
  private static final int LONGEST_CHARACTER = 4;

  private final String stream;
  private byte[] held = {};

  OutputText(String stream) {
    this.stream = stream;
  }

  /** The event for these bytes and those held back before; empty when all is held back. */
  Optional<ObjectNode> event(byte[] bytes) {
    byte[] all = Arrays.copyOf(held, held.length + bytes.length);
    System.arraycopy(bytes, 0, all, held.length, bytes.length);
    int whole = all.length - cut(all);
    held = Arrays.copyOfRange(all, whole, all.length);
    return whole == 0 ? Optional.empty() : Optional.of(told(Arrays.copyOf(all, whole)));
  }

  /** How many bytes are held back. */
  int held() {
    return held.length;
  }

  /** The event for what was held back when the stream ends. */
  Optional<ObjectNode> rest() {
    byte[] left = held;
    held = new byte[0];
    return left.length == 0 ? Optional.empty() : Optional.of(told(left));
  }

  private ObjectNode told(byte[] bytes) {
    ObjectNode event = Json.object().put("event", stream);
    if (isDense(bytes)) {
      return event.put("data_b64", Base64.getEncoder().encodeToString(bytes));
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return event.put("data", text);
    } catch (CharacterCodingException e) {
      return event.put("data_b64", Base64.getEncoder().encodeToString(bytes));
    }
  }

  /**
   * JSON writes a control character in six bytes, so much of it is shorter, and faster, in base64.
   */
  private static boolean isDense(byte[] bytes) {
    int escaped = 0;
    for (byte b : bytes) {
      if (b >= 0 && b < ' ' && b != '\n' && b != '\t' && b != '\r') {
        escaped++;
      }
    }
    return escaped > bytes.length / 16;
  }

  /** How many bytes at the end begin a character that is not complete. */
  private static int cut(byte[] bytes) {
    int earliest = Math.max(0, bytes.length - LONGEST_CHARACTER + 1);
    for (int i = bytes.length - 1; i >= earliest; i--) {
      int lead = bytes[i] & 0xff;
      if (lead >= 0xc0) {
        int length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        int there = bytes.length - i;
        return there < length && lead <= 0xf4 ? there : 0;
      }
      if (lead < 0x80) {
        return 0;
      }
    }
    return 0;
  }
}
