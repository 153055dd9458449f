package dev.forkd.api;

import dev.forkd.model.ForkdException;
import io.helidon.http.HeaderNames;
import io.helidon.webserver.ServerConnectionException;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Content of any length as one response. Its head goes out with the first byte, so that a failure
 * before it is an ordinary reply; after it the connection is cut, which a client can tell from an
 * end. Used by one thread.
 */
final class ResponseContent extends OutputStream {
  private static final Logger LOG = LoggerFactory.getLogger(ResponseContent.class);

  private final ServerResponse response;
  private final String type;
  private Optional<OutputStream> out = Optional.empty();

  private ResponseContent(ServerResponse response, String type) {
    this.response = response;
    this.type = type;
  }

  /**
   * Sends it.
   *
   * @param type media type; "" = the response has one, or is to have none
   */
  static void run(String type, Reply.Writer writer, ServerResponse response) {
    ResponseContent to = new ResponseContent(response, type);
    try {
      writer.run(to);
      to.stream().close();
    } catch (ForkdException e) {
      to.fail(e);
    } catch (ClientGone | IOException | UncheckedIOException | ServerConnectionException e) {
      LOG.debug("event=content_client_gone reason=\"{}\"", String.valueOf(e));
    } catch (RuntimeException e) {
      to.fail(Router.defect(e));
    }
  }

  private void fail(ForkdException e) {
    if (out.isPresent()) {
      LOG.warn("event=content_cut reason=\"{}\"", e.getMessage());
      // Nothing answers this one: the server closes the connection without the last chunk.
      throw new IllegalStateException("content was cut", e);
    }
    Router.sendFailure(e, response);
  }

  private OutputStream stream() {
    if (out.isEmpty()) {
      if (!type.isEmpty()) {
        response.header(HeaderNames.CONTENT_TYPE, type);
      }
      out = Optional.of(response.outputStream());
    }
    return out.get();
  }

  @Override
  public void write(int b) {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    try {
      stream().write(bytes, offset, length);
    } catch (IOException | UncheckedIOException | ServerConnectionException e) {
      throw new ClientGone(e);
    }
  }

  @Override
  public void flush() {
    try {
      stream().flush();
    } catch (IOException | UncheckedIOException | ServerConnectionException e) {
      throw new ClientGone(e);
    }
  }
}
