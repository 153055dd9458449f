package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import io.helidon.http.HeaderNames;
import io.helidon.webserver.http.ServerRequest;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** One request as a resource sees it. */
final class Call {
  /** Bytes of a JSON body at the most. */
  static final int MAX_BODY = 2 << 20;

  private final ServerRequest request;
  private final Caller caller;
  private final Map<String, String> parameters;
  private Optional<byte[]> read = Optional.empty();

  Call(ServerRequest request, Caller caller, Map<String, String> parameters) {
    this.request = request;
    this.caller = caller;
    this.parameters = parameters;
  }

  /** The sandbox id in the path; one that cannot exist is NOT_FOUND. */
  SandboxId sandbox() {
    return new SandboxId(parameter("id"));
  }

  /** The tag in the path. */
  Tag tag() {
    return Tag.of("tag", parameter("tag"));
  }

  /** The name of who asks. */
  String caller() {
    return caller.name();
  }

  /** Whether who asks may fork snapshots that hold secrets. */
  boolean cleared() {
    return caller.secrets();
  }

  /** Method and raw path. */
  String line() {
    return request.prologue().method().text() + " " + request.path().rawPath();
  }

  /** In capitals; HEAD, too. */
  String method() {
    return request.prologue().method().text();
  }

  /** What follows the question mark, as it came; "" without one. */
  String rawQuery() {
    return request.query().rawValue();
  }

  /** All headers, in order, name and value; one with several values as often. */
  List<Map.Entry<String, String>> headers() {
    return request.headers().stream()
        .flatMap(header -> header.allValues().stream().map(v -> Map.entry(header.name(), v)))
        .toList();
  }

  /** Whether it came over TLS. */
  boolean secure() {
    return request.isSecure();
  }

  /** A decoded parameter of the path. */
  String parameter(String name) {
    return Optional.ofNullable(parameters.get(name)).orElseThrow();
  }

  /** A flag in the query: literally true or false. */
  boolean flag(String name) {
    String value = request.query().first(name).orElse("false");
    return switch (value) {
      case "true" -> true;
      case "false" -> false;
      default -> throw Body.invalid("query parameter `" + name + "` must be true or false");
    };
  }

  /** A whole number in the query; {@code fallback} when it is not there. */
  int number(String name, int fallback) {
    String value = request.query().first(name).orElse(Integer.toString(fallback));
    try {
      return Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw Body.invalid("query parameter `" + name + "` must be a whole number");
    }
  }

  /** A position in the query, 0 or more; 0 when it is not there. */
  long position(String name) {
    String value = request.query().first(name).orElse("0");
    if (!value.matches("[0-9]{1,18}")) {
      throw Body.invalid("query parameter `" + name + "` must be a whole number, 0 or more");
    }
    return Long.parseLong(value);
  }

  /** A text in the query; "" when it is not there. */
  String text(String name) {
    return request.query().first(name).orElse("");
  }

  /** Every repeat of a text in the query. */
  List<String> texts(String name) {
    return request.query().contains(name) ? request.query().all(name) : List.of();
  }

  /** The labels in the query, each {@code label=KEY=VALUE}. */
  Map<String, String> labels() {
    Map<String, String> labels = new HashMap<>();
    for (String label : texts("label")) {
      int equals = label.indexOf('=');
      if (equals < 1) {
        throw Body.invalid("query parameter `label` must be KEY=VALUE");
      }
      labels.put(label.substring(0, equals), label.substring(equals + 1));
    }
    return labels;
  }

  /** A header; "" when it is not there. */
  String header(String name) {
    return request.headers().first(HeaderNames.create(name)).orElse("");
  }

  /** Whether the client takes replies of that media type by name. */
  boolean accepts(String type) {
    return header("accept").toLowerCase(Locale.ROOT).contains(type);
  }

  /** Whether the client asked for a stream of events. */
  boolean wantsEvents() {
    return accepts("application/x-ndjson");
  }

  /**
   * The JSON object in the body.
   *
   * @throws ForkdException UNSUPPORTED_MEDIA, TOO_LARGE, INVALID
   */
  Body body() {
    if (!isJson(header("content-type"))) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED_MEDIA,
          "expected a request with `Content-Type: application/json`");
    }
    return new Body(Json.parse(bytes()));
  }

  /** The JSON object in the body; an empty one when there is none, or something else. */
  Body bodyOrNothing() {
    return isJson(header("content-type")) && bytes().length > 0 ? body() : new Body(Json.object());
  }

  /**
   * The body, read once and kept.
   *
   * @throws ForkdException TOO_LARGE
   */
  byte[] bytes() {
    if (read.isEmpty()) {
      try (InputStream in = content()) {
        read = Optional.of(in.readNBytes(MAX_BODY + 1));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    if (read.get().length > MAX_BODY) {
      throw new ForkdException(
          FailureKind.TOO_LARGE, "the body is larger than " + MAX_BODY + " bytes");
    }
    return read.get();
  }

  /** The raw body, of any length. */
  InputStream content() {
    return request.content().hasEntity()
        ? new BodyStream(request.content().inputStream())
        : InputStream.nullInputStream();
  }

  private static boolean isJson(String contentType) {
    int semicolon = contentType.indexOf(';');
    String type =
        (semicolon < 0 ? contentType : contentType.substring(0, semicolon))
            .strip()
            .toLowerCase(Locale.ROOT);
    return type.equals("application/json")
        || (type.startsWith("application/") && type.endsWith("+json"));
  }
}
