package dev.forkd.engine.process;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A launcher that an earlier daemon left, reached by its socket. */
final class FoundLauncher implements LauncherPeer {
  private static final Logger LOG = LoggerFactory.getLogger(FoundLauncher.class);

  private final SocketChannel channel;
  private final InputStream input;
  private final OutputStream output;
  private volatile Optional<ProcessHandle> process = Optional.empty();

  FoundLauncher(SocketChannel channel) {
    this.channel = channel;
    this.input = Channels.newInputStream(channel);
    this.output = Channels.newOutputStream(channel);
  }

  /** What it said its process id is. The handle keeps the start time: it is no bare number. */
  void introduce(long pid) {
    process = ProcessHandle.of(pid);
  }

  @Override
  public long pid() {
    return process.map(ProcessHandle::pid).orElse(0L);
  }

  @Override
  public OutputStream stdin() {
    return output;
  }

  @Override
  public InputStream stdout() {
    return input;
  }

  // It is nobody's child who would tell: that its channel closed is all that can be known.
  @Override
  public Optional<String> end(Duration wait) {
    return Optional.of("has ended");
  }

  @Override
  public String stderrTail() {
    return "";
  }

  @Override
  public void terminate() {
    process.ifPresent(ProcessHandle::destroy);
  }

  @Override
  public void letGo() {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.debug("event=launcher_socket_close_failed error=\"{}\"", e.toString());
    }
  }

  @Override
  public void close() {
    // It has been asked to end, and closed its channel, or had its time. A zombie takes no harm.
    process.ifPresent(ProcessHandle::destroyForcibly);
    letGo();
  }
}
