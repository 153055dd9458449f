package dev.forkd.client;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/** A scripted HTTP/1.1 server on a unix socket: small enough to send what no real one would. */
public final class StubServer implements AutoCloseable {
  /** Answers one request by writing raw bytes; the connection ends when it throws. */
  public interface Script {
    void answer(Call call, OutputStream out) throws IOException;
  }

  /**
   * One request as it came. A chunked body is read by the script through {@link #chunks}.
   *
   * @param line method and path
   */
  public record Call(String line, Map<String, String> headers, String body, InputStream in) {
    /** The chunks of a chunked body, up to its end. */
    public List<String> chunks() throws IOException {
      List<String> chunks = new ArrayList<>();
      String chunk = chunk();
      while (!chunk.isEmpty()) {
        chunks.add(chunk);
        chunk = chunk();
      }
      return chunks;
    }

    private String chunk() throws IOException {
      int size = Integer.parseInt(readLine(in), 16);
      String data = new String(in.readNBytes(size), StandardCharsets.UTF_8);
      readLine(in);
      return data;
    }
  }

  public final Endpoint endpoint;
  public final List<String> lines = new CopyOnWriteArrayList<>();
  public final AtomicInteger connections = new AtomicInteger();
  private final ServerSocketChannel server;
  private final Path directory;
  private final Script script;

  public StubServer(Script script) throws IOException {
    this.script = script;
    directory = Files.createTempDirectory("forkd-stub-");
    Path socket = directory.resolve("forkd.sock");
    endpoint = new Endpoint.Unix(socket);
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(socket));
    Thread.ofVirtual().start(this::accept);
  }

  private void accept() {
    try {
      while (true) {
        SocketChannel channel = server.accept();
        connections.incrementAndGet();
        Thread.ofVirtual().start(() -> serve(channel));
      }
    } catch (ClosedChannelException e) {
      return;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void serve(SocketChannel channel) {
    try (channel) {
      InputStream in = new BufferedInputStream(Channels.newInputStream(channel));
      OutputStream out = Channels.newOutputStream(channel);
      while (true) {
        String line = readLine(in);
        if (line.isEmpty()) {
          return;
        }
        Map<String, String> headers = readHeaders(in);
        int length = Integer.parseInt(headers.getOrDefault("content-length", "0"));
        String body = new String(in.readNBytes(length), StandardCharsets.UTF_8);
        String route = line.replace(" HTTP/1.1", "");
        lines.add(route);
        script.answer(new Call(route, headers, body, in), out);
        out.flush();
      }
    } catch (IOException e) {
      return; // the client hung up, or the script wants this connection to end
    }
  }

  private static Map<String, String> readHeaders(InputStream in) throws IOException {
    Map<String, String> headers = new TreeMap<>();
    String header = readLine(in);
    while (!header.isEmpty()) {
      int colon = header.indexOf(':');
      headers.put(
          header.substring(0, colon).toLowerCase(Locale.ROOT), header.substring(colon + 1).strip());
      header = readLine(in);
    }
    return headers;
  }

  private static String readLine(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    int b;
    while ((b = in.read()) >= 0 && b != '\n') {
      line.write(b);
    }
    return line.toString(StandardCharsets.UTF_8).stripTrailing();
  }

  /** Writes a reply with that status and JSON body. */
  public static void json(OutputStream out, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    raw(
        out,
        "HTTP/1.1 "
            + status
            + " Whatever\r\nContent-Type: application/json\r\nContent-Length: "
            + bytes.length
            + "\r\n\r\n");
    out.write(bytes);
  }

  /** Writes text as it is. */
  public static void raw(OutputStream out, String text) throws IOException {
    out.write(text.getBytes(StandardCharsets.UTF_8));
  }

  /** Begins a stream of NDJSON in chunks. */
  public static void stream(OutputStream out) throws IOException {
    raw(out, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n");
    raw(out, "Transfer-Encoding: chunked\r\n\r\n");
  }

  /** Writes one line as one chunk. */
  public static void event(OutputStream out, String json) throws IOException {
    byte[] bytes = (json + "\n").getBytes(StandardCharsets.UTF_8);
    raw(out, Integer.toHexString(bytes.length) + "\r\n");
    out.write(bytes);
    raw(out, "\r\n");
  }

  /** Ends the chunks. */
  public static void end(OutputStream out) throws IOException {
    raw(out, "0\r\n\r\n");
  }

  @Override
  public void close() throws IOException {
    server.close();
    Files.deleteIfExists(directory.resolve("forkd.sock"));
    Files.deleteIfExists(directory);
  }
}
