package dev.forkd.api;

import dev.forkd.model.Failure;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** What a handler answers. */
sealed interface Reply {
  /** A document. */
  record Document(int status, JsonNode body) implements Reply {}

  /** What went wrong. */
  record Failed(Failure failure) implements Reply {}

  /** Text of another type. */
  record Text(int status, String type, String body) implements Reply {}

  /** Nothing but a status. */
  record Empty(int status) implements Reply {}

  /** Events, one JSON object per line, sent as they happen. */
  record Events(Source source) implements Reply {}

  /** Bytes of any length, sent as they come. */
  record Content(String type, Writer writer) implements Reply {}

  /**
   * What somebody else answered, passed on.
   *
   * @param headers name and value of each, in order; without those of the connection
   * @param writer of the body; empty when there can be none
   */
  record Passed(int status, List<Map.Entry<String, String>> headers, Optional<Writer> writer)
      implements Reply {}

  /** Writes content; a failure before its first byte becomes a reply of its own. */
  interface Writer {
    /**
     * Writes what there is to write.
     *
     * @throws ClientGone when nobody reads any more
     */
    void run(OutputStream out) throws IOException;
  }

  /** Produces events; returns after the last one. */
  interface Source {
    /**
     * Sends what there is to send.
     *
     * @throws ClientGone when nobody reads any more
     */
    void run(EventSink sink);
  }

  /** 200 with a document. */
  static Reply ok(JsonNode body) {
    return new Document(200, body);
  }

  /** 201 with a document. */
  static Reply created(JsonNode body) {
    return new Document(201, body);
  }

  /** 204. */
  static Reply done() {
    return new Empty(204);
  }
}
