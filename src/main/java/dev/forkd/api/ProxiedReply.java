package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.StartedProgram;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a server in a sandbox answers, which may be anything. A page of it is shown under the
 * address of the daemon, so it is kept from acting as the daemon's own: browsers give it an origin
 * of its own (Content-Security-Policy: sandbox), its cookies stay below its path, and headers that
 * would speak for all of the address are dropped.
 */
final class ProxiedReply {
  private static final Logger LOG = LoggerFactory.getLogger(ProxiedReply.class);
  private static final int MAX_HEAD = 64 << 10;
  private static final int CHUNK = 64 << 10;
  private static final int NO_CONTENT = 204;
  private static final int NOT_MODIFIED = 304;
  private static final String POLICY =
      "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";
  private static final Pattern STATUS = Pattern.compile("HTTP/1\\.[01] ([2-5][0-9]{2})(?: .*)?");
  private static final Pattern HEADER =
      Pattern.compile("([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*)");
  private static final Pattern LENGTH = Pattern.compile("[0-9]{1,15}");
  private static final Pattern COOKIE_PATH = Pattern.compile("(?i);\\s*(?:path|domain)=[^;]*");
  private static final Set<String> DROPPED =
      Set.of(
          "alt-svc",
          "clear-site-data",
          "connection",
          "content-length",
          "keep-alive",
          "proxy-authenticate",
          "proxy-connection",
          "service-worker-allowed",
          "strict-transport-security",
          "trailer",
          "transfer-encoding",
          "upgrade");

  private final ProxiedRequest request;
  private final InputStream in;
  private final List<Map.Entry<String, String>> headers = new ArrayList<>();
  private OptionalLong length = OptionalLong.empty();

  private ProxiedReply(ProxiedRequest request, InputStream in) {
    this.request = request;
    this.in = in;
  }

  /**
   * Sends the request and reads the head of the reply.
   *
   * @param connection closed with the reply's body; by the caller when this fails
   * @throws ForkdException UNREACHABLE for what is no reply of HTTP, TIMEOUT
   */
  static Reply read(ProxiedRequest request, StartedProgram connection) {
    // Who answers before it has read everything must not be kept waiting for that.
    Thread.ofVirtual().name("proxy-" + connection.name()).start(() -> send(request, connection));
    ProxiedReply reply = new ProxiedReply(request, new ConnectionInput(connection.program()));
    int status = reply.readHead();
    boolean bodiless = request.isHead() || status == NO_CONTENT || status == NOT_MODIFIED;
    if (bodiless) {
      connection.close();
    }
    return new Reply.Passed(
        status,
        List.copyOf(reply.headers),
        bodiless ? Optional.empty() : Optional.of(out -> reply.copyBody(out, connection)));
  }

  private static void send(ProxiedRequest request, StartedProgram connection) {
    try {
      connection.program().write(request.head(), 0, request.head().length);
      connection.program().write(request.body(), 0, request.body().length);
    } catch (ForkdException e) {
      LOG.debug("event=proxied_request_unread reason=\"{}\"", e.getMessage());
    }
  }

  private int readHead() {
    int left = MAX_HEAD;
    String first = line(left);
    Matcher status = STATUS.matcher(first);
    if (!status.matches()) {
      throw wrong("does not answer with HTTP/1");
    }
    headers.add(Map.entry("Content-Security-Policy", POLICY));
    left -= first.length();
    for (String line = line(left); !line.isEmpty(); line = line(left)) {
      left -= line.length();
      header(line);
    }
    return Integer.parseInt(status.group(1));
  }

  private void header(String line) {
    Matcher form = HEADER.matcher(line);
    if (!form.matches()) {
      throw wrong("sent a header that is none");
    }
    String name = form.group(1).toLowerCase(Locale.ROOT);
    String value = form.group(2);
    if (name.equals("transfer-encoding")) {
      throw wrong("answered a request of HTTP/1.0 with a transfer encoding");
    }
    if (name.equals("content-length")) {
      length = OptionalLong.of(lengthOf(value.strip()));
    }
    if (!DROPPED.contains(name)) {
      headers.add(Map.entry(form.group(1), passed(name, value)));
    }
  }

  private long lengthOf(String value) {
    if (!LENGTH.matcher(value).matches()) {
      throw wrong("sent a content length that is none");
    }
    return Long.parseLong(value);
  }

  private String passed(String name, String value) {
    return switch (name) {
      case "set-cookie" ->
          COOKIE_PATH.matcher(value).replaceAll("") + "; Path=" + request.prefix() + "/";
      case "location", "content-location" -> moved(value);
      default -> value;
    };
  }

  /** A place on the same server, as it is called from outside. */
  private String moved(String place) {
    for (String own : List.of("localhost", "127.0.0.1")) {
      String start = "http://" + own + ":" + request.port();
      if (place.equals(start) || place.startsWith(start + "/")) {
        return request.prefix() + (place.equals(start) ? "/" : place.substring(start.length()));
      }
    }
    return place.startsWith("/") && !place.startsWith("//") ? request.prefix() + place : place;
  }

  private void copyBody(OutputStream out, StartedProgram connection) throws IOException {
    try (connection) {
      byte[] chunk = new byte[CHUNK];
      long left = length.orElse(Long.MAX_VALUE);
      while (left > 0) {
        int n = in.read(chunk, 0, (int) Math.min(left, CHUNK));
        if (n < 0 && length.isPresent()) {
          throw wrong("ended before its reply did");
        }
        if (n < 0) {
          return;
        }
        out.write(chunk, 0, n);
        out.flush(); // events are waited for one by one
        left -= n;
      }
    }
  }

  private String line(int max) {
    StringBuilder line = new StringBuilder();
    try {
      for (int c = in.read(); c != '\n'; c = in.read()) {
        if (c < 0) {
          throw wrong("ended before its reply did");
        }
        if (line.length() >= max) {
          throw wrong("sent more than " + MAX_HEAD + " bytes of headers");
        }
        line.append((char) c);
      }
    } catch (IOException e) {
      throw wrong("broke off: " + e.getMessage());
    }
    int end = line.length() - 1;
    return end >= 0 && line.charAt(end) == '\r' ? line.substring(0, end) : line.toString();
  }

  private ForkdException wrong(String why) {
    return new ForkdException(FailureKind.UNREACHABLE, request.about() + " " + why);
  }
}
