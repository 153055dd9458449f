package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import dev.forkd.service.Forkd;
import io.helidon.common.buffers.BufferData;
import io.helidon.http.Headers;
import io.helidon.http.HttpPrologue;
import io.helidon.websocket.WsListener;
import io.helidon.websocket.WsSession;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A program over one WebSocket (RFC 6455). The client's first message is the body of exec; then its
 * binary messages are input, its texts {@code {"signal":n}}, {@code {"resize":{...}}} and {@code
 * {"eof":true}}. It is sent events as texts and output as binary messages that begin with the
 * stream's number.
 *
 * <p>Two threads: the server's, which reads messages, and waits where the program does not read;
 * and one that starts the program, sends, and ends it when the client has gone. The server tells
 * nobody of a connection that breaks: the pings of the second thread find out.
 */
final class ExecSocket implements WsListener {
  private static final Logger LOG = LoggerFactory.getLogger(ExecSocket.class);
  private static final Duration FIRST_MESSAGE = Duration.ofSeconds(10);
  private static final Duration START = Duration.ofSeconds(60);
  private static final int MAX_TEXT = Call.MAX_BODY;

  /** Close codes: RFC 6455, section 7.4.1. */
  private static final int NORMAL = 1000;

  private static final int POLICY = 1008;
  private static final int TOO_BIG = 1009;

  private final Forkd forkd;
  private final Door door;
  private final CompletableFuture<String> first = new CompletableFuture<>();
  private final CompletableFuture<RunningProgram> program = new CompletableFuture<>();
  private final StringBuilder text = new StringBuilder();
  private Optional<Door.Visit> visit = Optional.empty();
  private volatile boolean gone;

  ExecSocket(Forkd forkd, Door door) {
    this.forkd = forkd;
    this.door = door;
  }

  @Override
  public Optional<Headers> onHttpUpgrade(HttpPrologue prologue, Headers headers) {
    Door.Visit asked = door.open(prologue, headers);
    asked.check(() -> forkd.handle(new Request.GetSandbox(asked.sandbox())));
    visit = Optional.of(asked);
    return Optional.empty();
  }

  @Override
  public void onOpen(WsSession session) {
    Door.Visit opened = visit.orElseThrow();
    Thread.ofVirtual().name("exec-socket").start(() -> serve(opened, session));
  }

  // What the client sends

  @Override
  public void onMessage(WsSession session, String part, boolean last) {
    text.append(part);
    if (text.length() > MAX_TEXT) {
      leave();
      session.close(TOO_BIG, "a text may have " + MAX_TEXT + " characters");
    } else if (last) {
      String whole = text.toString();
      text.setLength(0);
      if (!first.complete(whole)) {
        control(session, whole);
      }
    }
  }

  private void control(WsSession session, String message) {
    try {
      Body body = new Body(Json.parse(message.getBytes(StandardCharsets.UTF_8)));
      RunningProgram to = started();
      if (body.has("resize")) {
        to.resize(ProgramBody.terminalSize(body.object("resize")));
      } else if (body.has("signal")) {
        to.signal(ProgramBody.signal(body));
      } else if (body.flag("eof", false)) {
        to.closeInput();
      } else {
        throw Body.invalid("a text must have one of `signal`, `resize` and `eof`");
      }
    } catch (ForkdException e) {
      leave();
      refuse(session, e);
    }
  }

  @Override
  public void onMessage(WsSession session, BufferData data, boolean last) {
    byte[] bytes = data.readBytes();
    try {
      started().write(bytes, 0, bytes.length);
    } catch (ForkdException e) {
      // As with a pipe: it may end, or close its stdin, before it has read everything.
      LOG.debug("event=input_not_taken reason=\"{}\"", String.valueOf(e.getMessage()));
    }
  }

  private RunningProgram started() {
    try {
      return program.get(START.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new ForkdException(FailureKind.CONFLICT, "the program has not started");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon ends");
    }
  }

  @Override
  public void onPing(WsSession session, BufferData data) {
    session.pong(data);
  }

  @Override
  public void onClose(WsSession session, int status, String reason) {
    leave();
  }

  @Override
  public void onError(WsSession session, Throwable failure) {
    LOG.debug("event=socket_failed reason=\"{}\"", failure.toString());
    leave();
  }

  private void leave() {
    gone = true;
    first.completeExceptionally(new ForkdException(FailureKind.INVALID, "the client left"));
  }

  // What it is sent

  private void serve(Door.Visit opened, WsSession session) {
    try (opened) {
      SocketEvents events = new SocketEvents(session, () -> gone);
      try {
        opened.enter();
        run(opened.sandbox(), events);
        session.close(NORMAL, "");
      } catch (ForkdException e) {
        program.completeExceptionally(e);
        refuse(session, e);
      } catch (ClientGone e) {
        throw e;
      } catch (RuntimeException e) {
        refuse(session, Router.defect(e));
      }
    } catch (ClientGone e) {
      LOG.debug("event=socket_client_gone reason=\"{}\"", String.valueOf(e.getCause()));
    }
  }

  private void run(SandboxId sandbox, SocketEvents events) {
    JsonNode body = Json.parse(firstMessage());
    if (body instanceof ObjectNode object) {
      object.put("stream", true);
    }
    Request.Run request = ProgramBody.exec(new Body(body)).streamed(sandbox);
    try (StartedProgram started = forkd.handle(request)) {
      events.send(ProgramEvents.started(started));
      program.complete(started.program());
      events.follow(started.program());
    }
  }

  private byte[] firstMessage() {
    try {
      String message = first.get(FIRST_MESSAGE.toMillis(), TimeUnit.MILLISECONDS);
      return message.getBytes(StandardCharsets.UTF_8);
    } catch (TimeoutException e) {
      throw Body.invalid(
          "the first message must be a text with the body of exec; none came within "
              + FIRST_MESSAGE.toSeconds()
              + " s");
    } catch (ExecutionException e) {
      throw new ClientGone(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon ends");
    }
  }

  private static void refuse(WsSession session, ForkdException e) {
    SocketEvents.guarded(() -> {
      session.send(Json.text(Shapes.failureEvent(e.failure())), true);
      session.close(POLICY, e.kind().name().toLowerCase(Locale.ROOT));
    });
  }
}
