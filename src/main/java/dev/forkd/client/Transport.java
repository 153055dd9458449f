package dev.forkd.client;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import tools.jackson.databind.JsonNode;

/** Sends requests and turns what comes back into bytes or a failure. Thread-safe. */
final class Transport implements Closeable {
  static final String JSON = "application/json";
  static final String NDJSON = "application/x-ndjson";
  static final String BYTES = "application/octet-stream";

  /** Exec bounds each stream to 8 MiB, which JSON's escapes can make six times longer. */
  private static final int MAX_REPLY = 128 << 20;

  private static final int MAX_ERROR = 1 << 20;
  private static final int MAX_IDLE = 8;
  private static final Duration CONNECT = Duration.ofSeconds(5);

  private final Endpoint endpoint;
  private final String token;
  private final Deque<HttpConnection> idle = new ArrayDeque<>();
  private boolean closed;

  Transport(Endpoint endpoint, String token) {
    if (!token.matches("[\\x21-\\x7e]*")) {
      throw new ForkdException(
          FailureKind.INVALID, "the token holds characters that no HTTP header can carry");
    }
    this.endpoint = endpoint;
    this.token = token;
  }

  /** What is asked: method and path, for the head and for messages. */
  record Route(String method, String path) {
    /** Whether doing it twice is doing it once. */
    boolean repeatable() {
      return method.equals("GET");
    }

    @Override
    public String toString() {
      return method + " " + path;
    }
  }

  /** A reply under way. Closing it before its end drops the connection: the daemon notices. */
  final class Exchange implements Closeable {
    private final Route route;
    private final HttpConnection connection;
    private final HttpBody body;

    private Exchange(Route route, HttpConnection connection, HttpBody body) {
      this.route = route;
      this.connection = connection;
      this.body = body;
    }

    InputStream body() {
      return body;
    }

    void deadline(Duration length) {
      body.deadline(Deadline.in(length));
    }

    ForkdException failed(IOException e) {
      return Transport.this.failed(route, e);
    }

    @Override
    public void close() {
      if (body.complete()) {
        release(connection);
      } else {
        connection.close();
      }
    }
  }

  /** Sends a request with a whole body; the reply is a success, or this throws its failure. */
  Exchange send(Route route, String accept, byte[] body, Duration timeout) {
    Deadline deadline = Deadline.in(timeout);
    String length =
        body.length == 0
            ? ("GET".equals(route.method) ? "" : "Content-Length: 0\r\n")
            : "Content-Type: " + JSON + "\r\nContent-Length: " + body.length + "\r\n";
    byte[] head = head(route, accept, length);
    ByteBuffer bytes = ByteBuffer.allocate(head.length + body.length).put(head).put(body).flip();
    while (true) {
      HttpConnection connection = acquire();
      try {
        connection.write(bytes.rewind(), deadline);
        return receive(route, connection, deadline);
      } catch (IOException e) {
        connection.close();
        // The daemon may close an idle connection in the moment that it is used again.
        if (!connection.reused() || !route.repeatable() || e instanceof InterruptedIOException) {
          throw failed(route, e);
        }
      } catch (RuntimeException e) {
        connection.close();
        throw e;
      }
    }
  }

  /** Sends a request and reads the whole reply; empty when it has no body. */
  byte[] bytes(Route route, byte[] body, Duration timeout) {
    try (Exchange exchange = send(route, JSON, body, timeout)) {
      return bounded(exchange.body(), MAX_REPLY);
    } catch (IOException e) {
      throw failed(route, e);
    }
  }

  byte[] head(Route route, String accept, String more) {
    StringBuilder head = new StringBuilder(256);
    head.append(route).append(" HTTP/1.1\r\nHost: ").append(endpoint.host());
    head.append("\r\nAccept: ").append(accept).append("\r\nUser-Agent: forkd\r\n");
    if (!token.isEmpty()) {
      head.append("Authorization: Bearer ").append(token).append("\r\n");
    }
    return head.append(more).append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
  }

  /** Reads the reply's head on a connection whose request is out; an error reply is thrown. */
  Exchange receive(Route route, HttpConnection connection, Deadline deadline) throws IOException {
    HttpReply reply = HttpReply.read(connection, deadline);
    HttpBody body = new HttpBody(connection, reply, deadline);
    if (!reply.ok()) {
      ForkdException failure = Failures.told(route.toString(), reply, bounded(body, MAX_ERROR));
      connection.close();
      throw failure;
    }
    return new Exchange(route, connection, body);
  }

  private static byte[] bounded(InputStream in, int limit) throws IOException {
    byte[] bytes = in.readNBytes(limit);
    if (bytes.length == limit && in.read() >= 0) {
      throw new IOException("the reply is larger than " + limit + " bytes");
    }
    return bytes;
  }

  /** The JSON of a reply's body. */
  JsonNode json(Route route, byte[] body, Duration timeout) {
    return Failures.parse(bytes(route, body, timeout));
  }

  HttpConnection acquire() {
    synchronized (idle) {
      while (!idle.isEmpty()) {
        HttpConnection connection = idle.pop();
        if (connection.reusable()) {
          return connection;
        }
        connection.close();
      }
    }
    try {
      return HttpConnection.open(endpoint.address(), Deadline.in(CONNECT));
    } catch (IOException | UnresolvedAddressException e) {
      throw Failures.absent(endpoint, e);
    }
  }

  private void release(HttpConnection connection) {
    synchronized (idle) {
      if (!closed && idle.size() < MAX_IDLE) {
        connection.keep();
        idle.push(connection);
        return;
      }
    }
    connection.close();
  }

  /** The failure that trouble on a connection is told as. */
  ForkdException failed(Route route, IOException e) {
    return Failures.broken(route + " at " + endpoint, e);
  }

  @Override
  public void close() {
    synchronized (idle) {
      closed = true;
      idle.forEach(HttpConnection::close);
      idle.clear();
    }
  }
}
