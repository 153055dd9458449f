package dev.forkd.client;

import java.io.IOException;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The head of a reply.
 *
 * @param status 200..599
 * @param headers by lower-case name; repeats are joined by a comma
 * @param keepAlive whether the connection outlives the reply
 */
record HttpReply(int status, Map<String, String> headers, boolean keepAlive) {
  private static final int MAX_LINE = 16 * 1024;
  private static final int MAX_HEADERS = 100;
  private static final int MAX_INTERIM = 8;

  HttpReply {
    headers = Map.copyOf(headers);
  }

  String header(String name) {
    return headers.getOrDefault(name, "");
  }

  boolean ok() {
    return status < 300;
  }

  /** Reads the head of the final reply; interim ones (1xx) are skipped. */
  static HttpReply read(HttpConnection connection, Deadline deadline) throws IOException {
    for (int i = 0; i < MAX_INTERIM; i++) {
      HttpReply reply = readOne(connection, deadline);
      if (reply.status >= 200) {
        return reply;
      }
    }
    throw new IOException("the peer sends nothing but interim replies");
  }

  private static HttpReply readOne(HttpConnection connection, Deadline deadline)
      throws IOException {
    String line = connection.readLine(MAX_LINE, deadline);
    if (!line.matches("HTTP/1\\.[01] [1-5][0-9][0-9]( .*)?")) {
      throw new IOException("the peer does not speak HTTP/1.1");
    }
    Map<String, String> headers = readHeaders(connection, deadline);
    String wish = headers.getOrDefault("connection", "").toLowerCase(Locale.ROOT);
    boolean keepAlive = line.startsWith("HTTP/1.1") && !wish.contains("close");
    return new HttpReply(Integer.parseInt(line.substring(9, 12)), headers, keepAlive);
  }

  static Map<String, String> readHeaders(HttpConnection connection, Deadline deadline)
      throws IOException {
    Map<String, String> headers = new HashMap<>();
    for (int i = 0; i < MAX_HEADERS; i++) {
      String line = connection.readLine(MAX_LINE, deadline);
      if (line.isEmpty()) {
        return headers;
      }
      int colon = line.indexOf(':');
      if (colon < 1) {
        throw new IOException("a header line of the reply is malformed");
      }
      String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
      headers.merge(name, line.substring(colon + 1).strip(), (a, b) -> a + "," + b);
    }
    throw new IOException("the reply has more than " + MAX_HEADERS + " headers");
  }
}
