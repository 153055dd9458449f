package dev.forkd.client;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;

/**
 * Reads replies, and failures as the API writes them: {@code
 * {"error","kind","retryable","detail"}}.
 */
final class Failures {
  private Failures() {}

  /** The failure that an error object tells; {@code suffix} ends its message. */
  static Failure of(JsonNode error, int status, String suffix) {
    String message = text(error, "error");
    return new Failure(
        kindOf(text(error, "kind"), status),
        (message.isEmpty() ? "the daemon told no reason" : message) + suffix,
        text(error, "detail"));
  }

  /** The JSON that the daemon sent; what is none is the daemon's fault, not the caller's. */
  static JsonNode parse(byte[] body) {
    try {
      return Json.parse(body);
    } catch (ForkdException e) {
      throw new Failure(FailureKind.INTERNAL, "the daemon's reply is " + e.getMessage()).thrown(e);
    }
  }

  private static String text(JsonNode object, String field) {
    JsonNode value = object.path(field);
    return value.isString() ? value.stringValue() : "";
  }

  private static FailureKind kindOf(String word, int status) {
    for (FailureKind kind : FailureKind.values()) {
      if (kind.word().equals(word)) {
        return kind;
      }
    }
    return kindOf(status);
  }

  /** The kind of a reply that tells none. */
  static FailureKind kindOf(int status) {
    for (FailureKind kind : FailureKind.values()) {
      if (kind.httpStatus() == status && kind != FailureKind.ENGINE) {
        return kind;
      }
    }
    return status < 500 ? FailureKind.INVALID : FailureKind.INTERNAL;
  }

  /** The failure that a reply tells which is no success. */
  static ForkdException told(String route, HttpReply reply, byte[] body) {
    String code = "HTTP " + reply.status();
    String text = new String(body, StandardCharsets.UTF_8).strip();
    if (reply.header("content-type").startsWith(Transport.JSON) && !text.isEmpty()) {
      return of(parse(body), reply.status(), " (" + code + ")").thrown();
    }
    String reason = text.isEmpty() ? "" : ": " + text.substring(0, Math.min(500, text.length()));
    return new ForkdException(kindOf(reply.status()), route + " was answered by " + code + reason);
  }

  /** Nobody answers at an endpoint. */
  static ForkdException absent(Endpoint endpoint, Exception e) {
    String reason =
        e instanceof UnresolvedAddressException ? "unknown host" : String.valueOf(e.getMessage());
    return new Failure(
            FailureKind.UNAVAILABLE,
            "no forkd daemon answers at "
                + endpoint
                + ": "
                + reason
                + "; start one with `forkd serve`, or name the right one with --url or FORKD_URL")
        .thrown(e);
  }

  /** Trouble on a connection that was made. */
  static ForkdException broken(String what, IOException e) {
    boolean late = e instanceof SocketTimeoutException;
    boolean cancelled = e instanceof InterruptedIOException && !late;
    return new Failure(
            late ? FailureKind.TIMEOUT : FailureKind.UNAVAILABLE,
            what + (cancelled ? " was cancelled" : " failed: " + e.getMessage()))
        .thrown(e);
  }
}
