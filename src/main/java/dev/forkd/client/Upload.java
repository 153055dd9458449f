package dev.forkd.client;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** A request whose body is sent piece by piece (chunked), on a connection of its own. */
final class Upload implements Closeable {
  private final Transport transport;
  private final Transport.Route route;
  private final HttpConnection connection;
  private final Duration patience;

  /**
   * Sends the head.
   *
   * @param patience how long one piece may wait for the daemon to take it
   */
  Upload(Transport transport, Transport.Route route, Duration patience) {
    this.transport = transport;
    this.route = route;
    this.patience = patience;
    this.connection = transport.acquire();
    String more = "Content-Type: " + Transport.BYTES + "\r\nTransfer-Encoding: chunked\r\n";
    send(ByteBuffer.wrap(transport.head(route, Transport.JSON, more)));
  }

  private void send(ByteBuffer bytes) {
    try {
      connection.write(bytes, Deadline.in(patience));
    } catch (IOException e) {
      connection.close();
      throw transport.failed(route, e);
    }
  }

  void write(byte[] bytes, int offset, int length) {
    if (length == 0) {
      return; // an empty chunk would end the body
    }
    byte[] size = (Integer.toHexString(length) + "\r\n").getBytes(StandardCharsets.US_ASCII);
    ByteBuffer chunk = ByteBuffer.allocate(size.length + length + 2);
    send(chunk.put(size).put(bytes, offset, length).put((byte) '\r').put((byte) '\n').flip());
  }

  /** Ends the body and waits for the reply. */
  void finish() {
    send(ByteBuffer.wrap("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII)));
    try (Transport.Exchange exchange =
        transport.receive(route, connection, Deadline.in(patience))) {
      exchange.body().skipNBytes(0);
    } catch (IOException e) {
      connection.close();
      throw transport.failed(route, e);
    }
  }

  @Override
  public void close() {
    connection.close();
  }
}
