package dev.forkd.api;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * The file of a unix socket: bound under another name, made private, then renamed into place, so
 * that nobody ever connects to a socket that is not ready or not yet private.
 */
final class SocketFile implements AutoCloseable {
  private final Path path;
  private final Path staged;

  private SocketFile(Path path) {
    this.path = path;
    this.staged = path.resolveSibling("." + path.getFileName() + ".new");
  }

  /**
   * Makes room for a socket of that name.
   *
   * @throws ForkdException CONFLICT when somebody answers there
   */
  static SocketFile prepare(Path path) {
    SocketFile file = new SocketFile(path);
    try {
      if (answers(path)) {
        throw new ForkdException(
            FailureKind.CONFLICT,
            "another daemon answers at " + path + ": stop it, or give another --run-dir");
      }
      Files.deleteIfExists(path);
      Files.deleteIfExists(file.staged);
      return file;
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "socket " + path + " cannot be replaced: " + e)
          .thrown(e);
    }
  }

  private static boolean answers(Path path) {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      return channel.isConnected();
    } catch (IOException e) {
      return false; // refused: whoever made it is gone
    }
  }

  /** Where to bind. */
  UnixDomainSocketAddress address() {
    return UnixDomainSocketAddress.of(staged);
  }

  /** Makes the bound socket private and visible. */
  void publish() {
    try {
      Files.setPosixFilePermissions(staged, PosixFilePermissions.fromString("rw-------"));
      Files.move(staged, path, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "socket " + path + " cannot be published: " + e)
          .thrown(e);
    }
  }

  @Override
  public void close() {
    try {
      Files.deleteIfExists(path);
      Files.deleteIfExists(staged);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "socket " + path + " cannot be removed: " + e)
          .thrown(e);
    }
  }
}
