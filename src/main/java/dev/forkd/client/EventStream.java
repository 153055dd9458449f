package dev.forkd.client;

import dev.forkd.model.ForkdException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import tools.jackson.databind.JsonNode;

/** Every change of state as it happens, until it is closed. Used by one thread. */
public final class EventStream implements AutoCloseable {
  /** The daemon says something at least that often, if only that it is there. */
  private static final Duration SILENCE = Duration.ofSeconds(60);

  private static final String DATA = "data: ";

  private final Transport.Exchange exchange;
  private final BufferedReader lines;

  EventStream(Transport.Exchange exchange) {
    this.exchange = exchange;
    this.lines = new BufferedReader(new InputStreamReader(exchange.body(), StandardCharsets.UTF_8));
  }

  /**
   * The next event: at_unix_ms, kind, subject, message, number; or only {@code missed}, where the
   * daemon's log has forgotten that many.
   *
   * @throws ForkdException UNAVAILABLE when the daemon ends, or says nothing for a minute
   */
  public JsonNode next() {
    try {
      while (true) {
        exchange.deadline(SILENCE);
        String line = lines.readLine();
        if (line == null) {
          throw new IOException("the daemon ended the stream of events");
        }
        if (line.startsWith(DATA)) {
          return Failures.parse(line.substring(DATA.length()).getBytes(StandardCharsets.UTF_8));
        }
      }
    } catch (IOException e) {
      throw exchange.failed(e);
    }
  }

  @Override
  public void close() {
    exchange.close();
  }
}
