package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.json.Json;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** One HTTP/1.1 exchange by hand, so that tests can say exactly what goes over the wire. */
final class Http implements AutoCloseable {
  private final SocketChannel channel;
  private final InputStream in;
  private int status;
  private final Map<String, String> headers = new HashMap<>();

  private Http(SocketChannel channel) {
    this.channel = channel;
    this.in = new BufferedInputStream(Channels.newInputStream(channel));
  }

  static Http unix(Path socket) throws IOException {
    return open(
        UnixDomainSocketAddress.of(socket), SocketChannel.open(StandardProtocolFamily.UNIX));
  }

  static Http tcp(int port) throws IOException {
    return open(
        new InetSocketAddress(InetAddress.getLoopbackAddress(), port), SocketChannel.open());
  }

  private static Http open(SocketAddress address, SocketChannel channel) throws IOException {
    channel.connect(address);
    return new Http(channel);
  }

  /** Sends a request and reads the reply's head. */
  Http send(String method, String path, byte[] body, String... extra) throws IOException {
    StringBuilder head =
        new StringBuilder(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n");
    for (String line : extra) {
      head.append(line).append("\r\n");
    }
    if (body.length > 0) {
      head.append("Content-Length: ").append(body.length).append("\r\n");
    }
    write((head + "\r\n").getBytes(UTF_8));
    write(body);
    readHead();
    return this;
  }

  void write(byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  void readHead() throws IOException {
    String first = line();
    if (!first.matches("HTTP/1\\.1 [1-5][0-9][0-9]( .*)?")) {
      throw new IOException("no status line: " + first);
    }
    status = Integer.parseInt(first.substring(9, 12));
    headers.clear();
    for (String line = line(); !line.isEmpty(); line = line()) {
      int colon = line.indexOf(':');
      headers.put(
          line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
    }
  }

  private String line() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int b = in.read(); b != '\n'; b = in.read()) {
      if (b < 0) {
        throw new IOException("the server hung up after \"" + line + "\"");
      }
      if (b != '\r') {
        line.write(b);
      }
    }
    return line.toString(UTF_8);
  }

  int status() {
    return status;
  }

  String header(String name) {
    return headers.getOrDefault(name, "");
  }

  /** The next chunk of a chunked reply; empty at its end. */
  String chunk() throws IOException {
    int length = Integer.parseInt(line(), 16);
    String chunk = new String(in.readNBytes(length), UTF_8);
    line();
    return chunk;
  }

  /** The whole body. */
  String text() throws IOException {
    if (header("transfer-encoding").equals("chunked")) {
      StringBuilder all = new StringBuilder();
      for (String chunk = chunk(); !chunk.isEmpty(); chunk = chunk()) {
        all.append(chunk);
      }
      return all.toString();
    }
    String length = header("content-length");
    return length.isEmpty() ? "" : new String(in.readNBytes(Integer.parseInt(length)), UTF_8);
  }

  JsonNode json() throws IOException {
    return Json.parse(text());
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
