package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.json.Json;
import dev.forkd.service.FakeGuest;
import dev.forkd.service.ServiceFixture;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import tools.jackson.databind.JsonNode;

/** A real server on a unix socket and a loopback port, over a service with a fake engine. */
final class ApiFixture implements AutoCloseable {
  static final String JSON = "Content-Type: application/json";
  private static final Duration DRAIN = Duration.ofSeconds(2);

  final ServiceFixture service;
  final ApiServer server;

  private ApiFixture(Path dir, String tokenFile, String cert, String key) {
    this.service = ServiceFixture.open(dir);
    this.server =
        ApiServer.start(
            new ApiConfig(
                service.state.restSocket(),
                "127.0.0.1:0",
                tokenFile,
                cert,
                key,
                dir.resolve("audit.log").toString(),
                DRAIN),
            service.forkd);
  }

  static ApiFixture open(Path dir) {
    return new ApiFixture(dir, "", "", "");
  }

  static ApiFixture guarded(Path dir, Path tokenFile) {
    return new ApiFixture(dir, tokenFile.toString(), "", "");
  }

  static ApiFixture encrypted(Path dir, Path cert, Path key) {
    return new ApiFixture(dir, "", cert.toString(), key.toString());
  }

  Path socket() {
    return service.state.restSocket();
  }

  /**
   * A reply, read to its end.
   *
   * @param allow of the head, "" when it has none
   */
  record Answer(int status, String type, String allow, String text) {
    JsonNode json() {
      return Json.parse(text);
    }
  }

  /** One exchange on a connection of its own. */
  Answer call(String method, String path, byte[] body, String... headers) throws IOException {
    try (Http http = Http.unix(socket())) {
      http.send(method, path, body, headers);
      String text = method.equals("HEAD") ? "" : http.text();
      return new Answer(http.status(), http.header("content-type"), http.header("allow"), text);
    }
  }

  Answer get(String path) throws IOException {
    return call("GET", path, new byte[0]);
  }

  Answer delete(String path) throws IOException {
    return call("DELETE", path, new byte[0]);
  }

  Answer post(String path, String json) throws IOException {
    return call("POST", path, json.getBytes(UTF_8), JSON);
  }

  /** Forks one sandbox of the snapshot {@code demo}, which is made when it is not there. */
  String sandbox() {
    if (service.engine.templates().isEmpty()) {
      service.create("demo");
    }
    return service.fork("demo", 1).getFirst().id().text();
  }

  FakeGuest guest(String id) {
    return service.engine.guests().stream()
        .filter(guest -> guest.id().text().equals(id))
        .findFirst()
        .orElseThrow();
  }

  @Override
  public void close() {
    server.close();
    service.close();
  }
}
