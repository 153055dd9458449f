package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.json.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class RoutesTest {
  private static final byte[] NOTHING = {};
  @TempDir Path dir;
  private ApiFixture api;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
  }

  @AfterEach
  void close() {
    api.close();
  }

  @Test
  void healthIsCompact() throws IOException {
    assertThat(api.get("/healthz"))
        .isEqualTo(new ApiFixture.Answer(200, "application/json", "", "{\"ok\":true}"));
    assertThat(api.get("/version").text())
        .isEqualTo(
            "{\"version\":\"1.2.3\",\"api\":\"v1\",\"instance\":\"%s\"}"
                .formatted(api.service.state.instance()));
  }

  @Test
  void metricsAreText() throws IOException {
    ApiFixture.Answer answer = api.get("/metrics");
    assertThat(answer.type()).isEqualTo("text/plain; version=0.0.4");
    assertThat(answer.text())
        .contains("# TYPE forkd_snapshots_total gauge\nforkd_snapshots_total 0\n")
        .contains("\nforkd_sandboxes_active 0\n")
        .contains("\nforkd_branches_in_flight 0\n")
        .contains("\nforkd_branch_concurrency_cap 2\n")
        .contains("\nforkd_build_info{version=\"1.2.3\"} 1\n");
    assertThat(answer.text().lines())
        .allMatch(line -> line.matches("# (HELP|TYPE) .+|[a-z_]+(\\{[^}]*})? [0-9.eE+-]+"));
  }

  @Test
  void eventsTellWhatHappened() throws IOException {
    api.service.create("demo");
    JsonNode events = api.get("/v1/events?limit=1").json();
    assertThat(events).hasSize(1);
    assertThat(events.path(0).propertyNames())
        .containsExactly("at_unix_ms", "kind", "subject", "message");
    assertThat(events.path(0).path("kind").asString()).isEqualTo("snapshot.ready");
    assertThat(events.path(0).path("subject").asString()).isEqualTo("demo");
    assertThat(api.get("/v1/events").json()).hasSize(2);
    for (String limit : List.of("0", "1001", "x", "")) {
      assertThat(api.get("/v1/events?limit=" + limit).status()).isEqualTo(400);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/",
        "/nope",
        "/v1",
        "/healthz/",
        "/v1/snapshots/",
        "/v1/snapshots/a",
        "/v1/snapshots/../snapshots",
        "/v1//snapshots",
        "/V1/snapshots",
        "/v1/sandboxes/a/b",
        "/v1/sandboxes/../../etc/passwd",
        "/v1/%73napshots"
      })
  void otherPathsAreNotFound(String path) throws IOException {
    ApiFixture.Answer answer = api.get(path);
    assertThat(answer.text()).isEmpty();
    assertThat(answer.status()).isEqualTo(path.equals("/v1/snapshots/a") ? 405 : 404);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "POST   | /healthz                   | GET, HEAD",
        "PUT    | /v1/snapshots              | GET, HEAD, POST",
        "PATCH  | /v1/sandboxes/x            | DELETE, GET, HEAD",
        "GET    | /v1/sandboxes/x/exec       | POST",
        "DELETE | /v1/sandboxes              | GET, HEAD, POST",
        "GET    | /v1/snapshots/x            | DELETE",
      })
  void otherMethodsAreNotAllowed(String method, String path, String allow) throws IOException {
    ApiFixture.Answer answer = api.call(method, path, NOTHING);
    assertThat(answer).isEqualTo(new ApiFixture.Answer(405, "", allow, ""));
  }

  @Test
  void everyGetAnswersHead() throws IOException {
    for (String path : List.of("/healthz", "/v1/snapshots", "/v1/sandboxes", "/metrics")) {
      ApiFixture.Answer head = api.call("HEAD", path, NOTHING);
      assertThat(head.status()).isEqualTo(200);
      assertThat(head.type()).isEqualTo(api.get(path).type());
    }
    assertThat(api.call("HEAD", "/v1/sandboxes/sb-1-0001", NOTHING).status()).isEqualTo(404);
  }

  @Test
  void aConnectionIsKeptOverAllKindsOfReplies() throws IOException {
    try (Http http = Http.tcp(api.server.port())) {
      for (String path : List.of("/healthz", "/nope", "/v1/sandboxes/x", "/healthz")) {
        http.send("GET", path, NOTHING);
        http.text();
      }
      assertThat(http.send("HEAD", "/healthz", NOTHING).status()).isEqualTo(200);
      http.send("POST", "/v1/sandboxes", "{}".getBytes(java.nio.charset.StandardCharsets.UTF_8));
      assertThat(http.status()).isEqualTo(415);
      http.text();
      assertThat(http.send("GET", "/healthz", NOTHING).json().path("ok").asBoolean()).isTrue();
    }
  }

  @Test
  void garbageIsRefused() throws IOException {
    try (Http http = Http.tcp(api.server.port())) {
      http.write("GARBAGE\r\n\r\n".getBytes(java.nio.charset.StandardCharsets.UTF_8));
      http.readHead();
      assertThat(http.status()).isEqualTo(400);
    }
    assertThat(api.get("/healthz").status()).isEqualTo(200);
  }

  @Test
  void theDocumentDescribesExactlyTheseRoutes() throws IOException {
    JsonNode document = api.get("/v1/openapi.json").json();
    Set<String> described = new TreeSet<>();
    document
        .path("paths")
        .properties()
        .forEach(path ->
            path.getValue().properties().stream()
                .filter(entry -> !entry.getKey().equals("parameters"))
                .forEach(entry ->
                    described.add(entry.getKey().toUpperCase(Locale.ROOT) + " " + path.getKey())));
    Set<String> served = new TreeSet<>();
    ApiServer.routes(api.service.forkd)
        .forEach(route -> served.add(route.method() + " " + route.template().replace("...}", "}")));
    assertThat(described).isEqualTo(served);
  }

  @Test
  void theDocumentHoldsTogether() throws IOException {
    JsonNode document = api.get("/v1/openapi.json").json();
    assertThat(document.path("openapi").asString()).startsWith("3.1");
    List<String> dangling = new ArrayList<>();
    for (JsonNode reference : document.findValues("$ref")) {
      String pointer = reference.asString().substring(1);
      if (document.at(pointer).isMissingNode()) {
        dangling.add(pointer);
      }
    }
    assertThat(dangling).isEmpty();
    document
        .path("paths")
        .forEach(path ->
            path.properties().stream()
                .filter(entry -> !entry.getKey().equals("parameters"))
                .forEach(entry -> {
                  assertThat(entry.getValue().path("summary").asString()).isNotEmpty();
                  assertThat(entry.getValue().path("operationId").asString()).isNotEmpty();
                  assertThat(entry.getValue().path("responses").isEmpty()).isFalse();
                }));
    List<String> ids = document.path("paths").findValuesAsString("operationId");
    assertThat(ids).doesNotHaveDuplicates();
  }

  @Test
  void theDocumentIsTheYamlFile() throws IOException {
    assertThat(Json.parse(OpenApi.json())).isEqualTo(api.get("/v1/openapi.json").json());
  }
}
