package dev.forkd.agent;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameReader;
import dev.forkd.frame.FrameType;
import dev.forkd.frame.FrameWriter;
import dev.forkd.model.Failure;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/** An agent on a real unix socket that does what a test's script says, good or bad. */
final class FakeAgent implements AutoCloseable {
  static final Duration PATIENCE = Duration.ofMillis(400);

  private final Path dir;
  private final ServerSocketChannel server;
  final List<String> listened = new CopyOnWriteArrayList<>();

  /** What the agent does with its one connection. */
  interface Script {
    void run(Peer peer) throws IOException;
  }

  /** The agent's end. */
  record Peer(FrameReader in, FrameWriter out, SocketChannel raw) {
    Frame expect(int type) throws IOException {
      Optional<Frame> frame = in.read();
      if (frame.isEmpty() || frame.get().type() != type) {
        throw new IOException("expected " + FrameType.text(type) + ", got " + frame);
      }
      return frame.get();
    }

    void send(int type, int id, Fields fields) throws IOException {
      out.write(new Frame(type, id, fields));
    }

    void welcome(int runtime) throws IOException {
      Frame hello = expect(FrameType.HELLO);
      send(
          FrameType.WELCOME,
          hello.id(),
          Fields.builder()
              .integer(FieldKey.VERSION, 1)
              .integer(FieldKey.PID, 1)
              .integer(FieldKey.RUNTIME, runtime)
              .build());
    }

    void error(int id, String kind, String message) throws IOException {
      send(
          FrameType.ERROR,
          id,
          Fields.builder().text(FieldKey.KIND, kind).text(FieldKey.MESSAGE, message).build());
    }

    void output(int id, int stream, byte[] data) throws IOException {
      send(
          FrameType.OUTPUT,
          id,
          Fields.builder().integer(FieldKey.STREAM, stream).bytes(FieldKey.DATA, data).build());
    }

    /** Reads until the host hangs up. */
    void drain() throws IOException {
      while (in.read().isPresent()) {
        Thread.onSpinWait();
      }
    }
  }

  FakeAgent(Script script) throws IOException {
    dir = Files.createTempDirectory("agent");
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(socket()));
    Thread.ofVirtual()
        .start(() -> {
          try (SocketChannel channel = server.accept()) {
            script.run(
                new Peer(
                    new FrameReader(Channels.newInputStream(channel)),
                    new FrameWriter(Channels.newOutputStream(channel)),
                    channel));
          } catch (IOException e) {
            listened.add("script ended by " + e);
          }
        });
  }

  Path socket() {
    return dir.resolve("a.sock");
  }

  AgentConnection connect() {
    return AgentConnection.open(
        socket(),
        new AgentSettings("sb-1", Map.of("A", "1"), "/work"),
        new AgentListener() {
          @Override
          public void runtimeEnded(Fields event) {
            listened.add("runtime ended");
          }

          @Override
          public Failure lost(Failure reason, boolean byPeer) {
            listened.add("lost byPeer=" + byPeer);
            return reason;
          }
        },
        Duration.ofSeconds(5),
        PATIENCE);
  }

  @Override
  public void close() throws IOException {
    server.close();
    Files.deleteIfExists(socket());
    Files.delete(dir);
  }
}
