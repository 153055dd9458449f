package dev.forkd.engine.vm;

import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** A unix socket that one peer connects to, as often as it has channels. */
final class Listener implements AutoCloseable {
  private final Path path;
  private final ServerSocketChannel server;

  /** Listens at {@code path}, whose directory only we may enter. */
  Listener(Path path) {
    this.path = path;
    try {
      server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      server.bind(UnixDomainSocketAddress.of(path));
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "listening at " + path + ": " + e).thrown(e);
    }
  }

  /** The peer. ENGINE when {@code process} ends first or the deadline passes. */
  SocketChannel accept(QemuProcess process, Duration deadline) {
    var early = process.onExit().thenRun(this::stop);
    try (Watchdog _ = Watchdog.after(deadline, this::stop)) {
      return server.accept();
    } catch (IOException e) {
      String how = process.end(Duration.ZERO).orElse("did not connect in time");
      throw new Failure(FailureKind.ENGINE, "QEMU " + how).thrown(e);
    } finally {
      early.cancel(false);
    }
  }

  private void stop() {
    try {
      server.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    stop();
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
