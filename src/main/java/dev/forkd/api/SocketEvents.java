package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import io.helidon.common.buffers.BufferData;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.websocket.WsSession;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import tools.jackson.databind.node.ObjectNode;

/** A program's events on a WebSocket. Sending waits while the client does not read. */
final class SocketEvents {
  private final WsSession session;
  private final BooleanSupplier gone;

  /**
   * On an open connection.
   *
   * @param gone whether the client has said that it leaves
   */
  SocketEvents(WsSession session, BooleanSupplier gone) {
    this.session = session;
    this.gone = gone;
  }

  /** Sends an event as a text. */
  void send(ObjectNode event) {
    guarded(() -> session.send(Json.text(event), true));
  }

  /**
   * Sends what the program says, to its end.
   *
   * @throws ClientGone when there is nobody to send it to
   */
  void follow(RunningProgram program) {
    while (true) {
      Optional<ProgramEvent> event = program.poll(ProgramEvents.PROBE_EVERY);
      if (gone.getAsBoolean()) {
        throw new ClientGone(new IllegalStateException("it closed the connection"));
      }
      if (event.isEmpty()) {
        guarded(() -> session.ping(BufferData.empty()));
        continue;
      }
      switch (event.get()) {
        case ProgramEvent.Output(var stream, var bytes) -> output(stream, bytes);
        case ProgramEvent.Exited(var status) -> {
          send(ProgramEvents.exit(status));
          return;
        }
      }
    }
  }

  private void output(int stream, byte[] bytes) {
    byte[] message = new byte[1 + bytes.length];
    message[0] = (byte) stream;
    System.arraycopy(bytes, 0, message, 1, bytes.length);
    guarded(() -> session.send(BufferData.create(message), true));
  }

  /** Sends something; a connection that is broken is a client that has gone. */
  static void guarded(Runnable sending) {
    try {
      sending.run();
    } catch (UncheckedIOException | CloseConnectionException e) {
      throw new ClientGone(e);
    }
  }
}
