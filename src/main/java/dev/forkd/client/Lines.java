package dev.forkd.client;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import tools.jackson.databind.JsonNode;

/** The lines of a reply of type application/x-ndjson, one JSON value each. */
final class Lines {
  private static final int MAX_LINE = 16 << 20;

  private final InputStream in;
  private final byte[] buffer = new byte[32 * 1024];
  private int at;
  private int end;

  Lines(InputStream in) {
    this.in = in;
  }

  /**
   * The next line; blocks until it is whole.
   *
   * @throws EOFException at the end of the stream: whoever reads knows which line is the last and
   *     does not ask for more
   */
  JsonNode next() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream(512);
    while (true) {
      for (int i = at; i < end; i++) {
        if (buffer[i] == '\n') {
          line.write(buffer, at, i - at);
          at = i + 1;
          if (line.size() == 0) {
            continue; // the daemon looks whether we are still here
          }
          return Failures.parse(line.toByteArray());
        }
      }
      line.write(buffer, at, end - at);
      at = 0;
      end = in.read(buffer, 0, buffer.length);
      if (end < 0) {
        end = 0;
        throw new EOFException("the daemon ended its reply in the middle");
      }
      if (line.size() > MAX_LINE) {
        throw new IOException("a line of the reply is longer than " + MAX_LINE + " bytes");
      }
    }
  }

  /** Reads what is left, which should be nothing, so that the connection can be kept. */
  void drain() throws IOException {
    for (int rounds = 0; rounds < 64 && in.read(buffer, 0, buffer.length) >= 0; rounds++) {
      at = end;
    }
  }
}
