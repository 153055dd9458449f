package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.ForkdException;
import io.helidon.http.HeaderNames;
import io.helidon.webserver.ServerConnectionException;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.node.ObjectNode;

/** Events of one response. Used by one thread. */
final class ResponseEvents implements EventSink {
  private static final Logger LOG = LoggerFactory.getLogger(ResponseEvents.class);

  private final ServerResponse response;
  private Optional<OutputStream> out = Optional.empty();

  private ResponseEvents(ServerResponse response) {
    this.response = response;
  }

  /** Streams a source: failures before its first event become a reply, later ones an event. */
  static void run(Reply.Source source, ServerResponse response) {
    ResponseEvents events = new ResponseEvents(response);
    try {
      events.pump(source);
      events.finish();
    } catch (ClientGone e) {
      LOG.debug("event=stream_client_gone reason=\"{}\"", String.valueOf(e.getCause()));
    }
  }

  private void pump(Reply.Source source) {
    try {
      source.run(this);
    } catch (ForkdException e) {
      fail(e);
    } catch (ClientGone e) {
      throw e;
    } catch (RuntimeException e) {
      fail(Router.defect(e));
    }
  }

  private void fail(ForkdException e) {
    if (out.isEmpty()) {
      Router.sendFailure(e, response);
    } else {
      send(Shapes.failureEvent(e.failure()));
    }
  }

  @Override
  public void send(ObjectNode event) {
    write((Json.text(event) + "\n").getBytes(StandardCharsets.UTF_8));
  }

  @Override
  public void probe() {
    write(new byte[] {'\n'});
  }

  private void write(byte[] line) {
    try {
      OutputStream stream = stream();
      stream.write(line);
      stream.flush();
    } catch (IOException | UncheckedIOException | ServerConnectionException e) {
      throw new ClientGone(e);
    }
  }

  private OutputStream stream() {
    if (out.isEmpty()) {
      response.header(HeaderNames.CONTENT_TYPE, "application/x-ndjson");
      out = Optional.of(response.outputStream());
    }
    return out.get();
  }

  private void finish() {
    try {
      if (out.isPresent()) {
        out.get().close();
      }
    } catch (IOException | UncheckedIOException | ServerConnectionException e) {
      throw new ClientGone(e);
    }
  }
}
