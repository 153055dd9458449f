package dev.forkd.host;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;

/** Unix stream sockets with deadlines. */
public final class UnixSocket {
  /** The longest path, in bytes, that the kernel accepts (sun_path without its NUL; unix(7)). */
  public static final int MAX_PATH = 107;

  private UnixSocket() {}

  /**
   * Connects.
   *
   * @throws IOException when nobody listens there, or after {@code deadline}
   */
  public static SocketChannel connect(Path path, Duration deadline) throws IOException {
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    try (Watchdog _ = Watchdog.after(deadline, () -> closeQuietly(channel))) {
      channel.connect(UnixDomainSocketAddress.of(path));
      return channel;
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static void closeQuietly(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
