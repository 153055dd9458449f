package dev.forkd.api;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import dev.forkd.model.SandboxId;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * A request as a server in a sandbox gets it: of HTTP/1.0 (RFC 1945), so that its reply ends with
 * the connection and has no chunks. Who asks the daemon is not told: no credentials of it go in.
 *
 * @param about "port 8000 of sandbox sb-1", for messages
 * @param prefix the path here of what is the root there, without a slash at its end
 * @param head first line and headers, with the empty line
 * @param isHead whether the reply has no body
 */
@SuppressWarnings("ArrayRecordComponent") // made and read once, never compared
record ProxiedRequest(
    String about, int port, String prefix, byte[] head, byte[] body, boolean isHead) {
  /** Those of one connection (RFC 9110, 7.6.1), and what is for the daemon alone. */
  private static final Set<String> DROPPED =
      Set.of(
          "authorization",
          "connection",
          "content-length",
          "expect",
          "host",
          "keep-alive",
          "proxy-authorization",
          "proxy-connection",
          "te",
          "trailer",
          "transfer-encoding",
          "upgrade",
          "x-forwarded-host",
          "x-forwarded-prefix",
          "x-forwarded-proto");

  static ProxiedRequest of(Call call, SandboxId id, int port) {
    byte[] body = call.bytes();
    String prefix = "/v1/sandboxes/" + id + "/proxy/" + port;
    String query = call.rawQuery();
    StringBuilder head = new StringBuilder();
    head.append(call.method()).append(" /").append(call.parameter("path"));
    head.append(query.isEmpty() ? "" : "?" + query).append(" HTTP/1.0\r\n");
    line(head, "Host", "localhost:" + port);
    line(head, "Connection", "close");
    line(head, "X-Forwarded-Host", call.header("host"));
    line(head, "X-Forwarded-Proto", call.secure() ? "https" : "http");
    line(head, "X-Forwarded-Prefix", prefix);
    for (Map.Entry<String, String> header : call.headers()) {
      if (!DROPPED.contains(header.getKey().toLowerCase(Locale.ROOT))) {
        line(head, header.getKey(), header.getValue());
      }
    }
    if (body.length > 0 || !call.header("content-length").isEmpty()) {
      line(head, "Content-Length", Integer.toString(body.length));
    }
    return new ProxiedRequest(
        "port " + port + " of sandbox " + id,
        port,
        prefix,
        head.append("\r\n").toString().getBytes(ISO_8859_1),
        body,
        call.method().equals("HEAD"));
  }

  private static void line(StringBuilder head, String name, String value) {
    head.append(name).append(": ").append(value).append("\r\n");
  }
}
