package dev.forkd.cli;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs command lines inside the daemon for {@code forkd-cli}, which lends them its streams and
 * signals (frames of docs/cli.md), so that a command costs no start of a JVM. Whoever can open the
 * socket (mode 0600) has the rights of the daemon's user, as with the REST socket beside it.
 */
public final class RelayServer implements AutoCloseable {
  /** Commands at a time; more are refused and run in a JVM of their own. */
  private static final int MAX_CONNECTIONS = 128;

  private static final int BACKLOG = 64;
  private static final long BACK_OFF_NANOS = 100_000_000;

  private final Path socket;
  private final Wiring wiring;
  private final ServerSocketChannel server;
  private final Set<RelayConnection> connections = ConcurrentHashMap.newKeySet();

  /**
   * Listens.
   *
   * @param socket a path in a directory that only the daemon's user can enter; a socket that an
   *     earlier daemon left there is replaced
   */
  public RelayServer(Path socket, Wiring wiring) {
    this.socket = socket;
    this.wiring = wiring;
    try {
      Files.deleteIfExists(socket);
      server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      server.bind(UnixDomainSocketAddress.of(socket), BACKLOG);
      Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
    } catch (IOException e) {
      throw new Failure(FailureKind.INTERNAL, "cannot listen on " + socket + ": " + e.getMessage())
          .thrown(e);
    }
    Thread.ofVirtual().name("relay").start(this::accept);
  }

  private void accept() {
    while (server.isOpen()) {
      try {
        serve(server.accept());
      } catch (ClosedChannelException e) {
        return; // closed by close()
      } catch (IOException e) {
        // Out of descriptors, most likely, and then it fails again at once.
        LockSupport.parkNanos(BACK_OFF_NANOS);
      }
    }
  }

  private void serve(SocketChannel channel) throws IOException {
    if (connections.size() >= MAX_CONNECTIONS) {
      channel.close();
      return;
    }
    RelayConnection connection = new RelayConnection(channel, wiring);
    connections.add(connection);
    Thread.ofVirtual()
        .name("relayed-command")
        .start(() -> {
          try (connection) {
            connection.run();
          } finally {
            connections.remove(connection);
          }
        });
  }

  /** Stops listening and cancels the commands that run. */
  @Override
  public void close() {
    try {
      server.close();
      Files.deleteIfExists(socket);
    } catch (IOException e) {
      throw new Failure(FailureKind.INTERNAL, "cannot remove " + socket + ": " + e.getMessage())
          .thrown(e);
    } finally {
      connections.forEach(RelayConnection::close);
    }
  }
}
