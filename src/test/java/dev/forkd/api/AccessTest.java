package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.ForkdException;
import dev.forkd.service.ServiceFixture;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Tokens and their scopes, limits, and what is written down of requests. */
final class AccessTest {
  private static final byte[] NOTHING = {};
  private static final String READ = "read-0123456789abcdef";
  private static final String USE = "use-0123456789abcdef";
  private static final String CLEARED = "cleared-0123456789abcdef";
  private static final String ADMIN = "admin-0123456789abcdef";
  @TempDir Path dir;

  private Path tokens(String... lines) throws IOException {
    // Replaced by a rename, as a careful operator does it.
    Path fresh = Files.writeString(dir.resolve("token.new"), String.join("\n", lines) + "\n");
    return Files.move(
        fresh, dir.resolve("token"), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }

  private Path three() throws IOException {
    return tokens("# who may what", "dash read " + READ, "ci use " + USE, "", "ops admin " + ADMIN);
  }

  private static int ask(ApiFixture api, String token, String method, String path, String body)
      throws IOException {
    try (Http http = Http.tcp(api.server.port())) {
      http.send(
          method, path, body.getBytes(UTF_8), "Authorization: Bearer " + token, ApiFixture.JSON);
      return http.status();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "GET    | /v1/sandboxes        |                               | 200 | 200 | 200",
        "GET    | /metrics             |                               | 200 | 200 | 200",
        "POST   | /v1/sandboxes        | {\"snapshot_tag\":\"demo\"}   | 403 | 201 | 201",
        "POST   | /v1/sandboxes/x/exec | {\"args\":[\"true\"]}         | 403 | 404 | 404",
        "DELETE | /v1/sandboxes/x      |                               | 403 | 404 | 404",
        "POST   | /v1/snapshots        | {}                            | 403 | 403 | 400",
        "DELETE | /v1/snapshots/demo   |                               | 403 | 403 | 409",
        "PUT    | /v1/sandboxes        |                               | 405 | 405 | 405",
      })
  void aScopeSaysWhatATokenMayDo(
      String method, String path, String body, int read, int use, int admin) throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, three())) {
      api.sandbox();
      String text = body == null ? "" : body;
      assertThat(ask(api, READ, method, path, text)).isEqualTo(read);
      assertThat(ask(api, USE, method, path, text)).isEqualTo(use);
      assertThat(ask(api, ADMIN, method, path, text)).isEqualTo(admin);
      assertThat(ask(api, "other-0123456789abcdef", method, path, text)).isEqualTo(401);
    }
  }

  private static String recipe(String name) {
    return Json.text(
        Json.object()
            .put("recipe", ServiceFixture.RECIPE)
            .put("tag", name)
            .put("secrets", name.equals("vault")));
  }

  private static ApiFixture withSecrets(Path dir, Path tokens) throws IOException {
    ApiFixture api = ApiFixture.guarded(dir, tokens);
    for (String name : List.of("vault", "open")) {
      assertThat(api.post("/v1/snapshots", recipe(name)).status()).isEqualTo(201);
    }
    return api;
  }

  @Test
  void aSnapshotWithSecretsIsForkedOnlyByThoseWhoMay() throws IOException {
    Path file = tokens("ci use " + USE, "vaults use " + CLEARED + " rate=500 secrets");
    try (ApiFixture api = withSecrets(dir, file)) {
      String vault = "{\"snapshot_tag\":\"vault\"}";
      assertThat(ask(api, USE, "POST", "/v1/sandboxes", vault)).isEqualTo(403);
      String workspace = "{\"name\":\"w\",\"snapshot_tag\":\"vault\"}";
      assertThat(ask(api, USE, "POST", "/v1/workspaces", workspace)).isEqualTo(403);
      assertThat(api.service.guests()).isZero();
      assertThat(ask(api, USE, "POST", "/v1/sandboxes", "{\"snapshot_tag\":\"open\"}"))
          .isEqualTo(201);
      assertThat(ask(api, CLEARED, "POST", "/v1/sandboxes", vault)).isEqualTo(201);
      assertThat(ask(api, CLEARED, "POST", "/v1/workspaces", workspace)).isEqualTo(201);
      assertThat(ask(api, CLEARED, "POST", "/v1/workspaces/w/suspend", "{}")).isEqualTo(200);
      assertThat(ask(api, USE, "POST", "/v1/workspaces/w/resume", "{}")).isEqualTo(403);
      assertThat(ask(api, CLEARED, "POST", "/v1/workspaces/w/resume", "{}")).isEqualTo(200);
    }
  }

  private static String[] upgrade(String token) {
    return new String[] {
      "Authorization: Bearer " + token,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    };
  }

  @Test
  void itsSandboxesAndWhatIsBranchedFromThemAreKeptToo() throws IOException {
    Path file = tokens("ci use " + USE, "vaults use " + CLEARED + " secrets", "ops admin " + ADMIN);
    try (ApiFixture api = withSecrets(dir, file)) {
      String box =
          api.post("/v1/sandboxes", "{\"snapshot_tag\":\"vault\"}")
              .json()
              .path(0)
              .path("id")
              .asString();
      String at = "/v1/sandboxes/" + box;
      assertThat(ask(api, USE, "GET", at, "")).isEqualTo(200);
      for (String route : List.of("/eval", "/exec", "/exec/stream", "/branch", "/renew")) {
        assertThat(ask(api, USE, "POST", at + route, "{}")).as(route).isIn(403, 404, 405);
      }
      assertThat(ask(api, USE, "POST", at + "/eval", "{\"code\":\"1\"}")).isEqualTo(403);
      assertThat(ask(api, USE, "GET", at + "/files?path=/etc/hostname", "")).isEqualTo(403);
      assertThat(ask(api, USE, "GET", at + "/programs", "")).isEqualTo(403);
      assertThat(ask(api, CLEARED, "GET", at + "/programs", "")).isEqualTo(200);
      assertThat(ask(api, USE, "DELETE", at, "")).isEqualTo(403);
      try (Http http = Http.tcp(api.server.port())) {
        http.send("GET", at + "/exec/socket", NOTHING, upgrade(USE));
        assertThat(http.status()).isEqualTo(403);
      }
      assertThat(ask(api, CLEARED, "POST", at + "/eval", "{\"code\":\"1\"}")).isEqualTo(200);
      assertThat(ask(api, ADMIN, "POST", at + "/branch", "{\"tag\":\"later\"}")).isEqualTo(201);
      String later = "{\"snapshot_tag\":\"later\"}";
      assertThat(ask(api, USE, "POST", "/v1/sandboxes", later)).isEqualTo(403);
      assertThat(ask(api, CLEARED, "POST", "/v1/sandboxes", later)).isEqualTo(201);
      assertThat(api.get("/v1/snapshots/later/info").json().path("secrets").asBoolean()).isTrue();
    }
  }

  @Test
  void aNewFileCountsWithoutARestartAndABrokenOneDoesNot() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, three())) {
      assertThat(ask(api, READ, "GET", "/version", "")).isEqualTo(200);
      tokens("dash read next-0123456789abcdef");
      await()
          .atMost(Duration.ofSeconds(10))
          .until(() -> ask(api, "next-0123456789abcdef", "GET", "/version", "") == 200);
      assertThat(ask(api, READ, "GET", "/version", "")).isEqualTo(401);
      tokens("dash read short");
      tokens("dash read CHANGE_ME_0123456789abcdef");
      await()
          .during(Duration.ofMillis(1500))
          .atMost(Duration.ofSeconds(10))
          .until(() -> ask(api, "next-0123456789abcdef", "GET", "/version", "") == 200);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a read",
        "a root 0123456789abcdef",
        "a/b read 0123456789abcdef",
        "a read 0123456789abcdef\na use 0123456789abcdeg",
        "a read 0123456789abcdef rate=x",
        "a read 0123456789abcdef secret",
        "a read REPLACE_ME_0123456789abcdef",
        "# nothing"
      })
  void aFileThatIsNotWhollyUsableIsRefusedWithoutItsSecrets(String text) throws IOException {
    Path file = tokens(text);
    assertThatThrownBy(() -> TokenFile.read(file))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("is refused")
        .hasMessageNotContaining("0123456789");
  }

  @Test
  void aTokenHasARate() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, tokens("ci use " + USE + " rate=5"))) {
      int limited = 0;
      for (int i = 0; i < 30; i++) {
        limited += ask(api, USE, "GET", "/version", "") == 429 ? 1 : 0;
      }
      assertThat(limited).isBetween(1, 20);
      try (Http http = Http.tcp(api.server.port())) {
        http.send("GET", "/version", NOTHING, "Authorization: Bearer " + USE);
        if (http.status() == 429) {
          assertThat(http.header("retry-after")).isEqualTo("1");
          assertThat(http.json().path("kind").asString()).isEqualTo("limited");
        }
      }
      assertThat(api.get("/version").status()).isEqualTo(200); // the unix socket is nobody's token
    }
  }

  @Test
  void aTokenHasARequestsAtOnce() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, tokens("ci use " + USE + " concurrent=1"));
        Http stream = Http.tcp(api.server.port())) {
      stream.send(
          "GET",
          "/v1/events",
          NOTHING,
          "Authorization: Bearer " + USE,
          "Accept: text/event-stream");
      assertThat(stream.status()).isEqualTo(200);
      assertThat(ask(api, USE, "GET", "/version", "")).isEqualTo(429);
      stream.close();
      api.service.create("wake"); // the stream finds its client gone when it writes
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> ask(api, USE, "GET", "/version", "") == 200);
    }
  }

  @Test
  void everyRequestIsWrittenDown() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, three())) {
      ask(api, ADMIN, "GET", "/version?token=secret", "");
      ask(api, "wrong-0123456789abcdef", "GET", "/v1/sandboxes", "");
      ask(api, READ, "POST", "/v1/snapshots", "{}");
      api.call("GET", "/nope", NOTHING, "User-Agent: probe \"1\"");
    }
    Path log = dir.resolve("audit.log");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(log)))
        .isEqualTo("rw-------");
    List<String> lines = Files.readAllLines(log);
    assertThat(lines).hasSize(4);
    // A line is written when its reply is out already, so theirs may overtake one another.
    assertThat(lines)
        .filteredOn(line -> line.contains("\"who\":\"ops\""))
        .singleElement()
        .asString()
        .contains("\"method\":\"GET\"", "\"path\":\"/version\"", "\"status\":200")
        .doesNotContain("secret");
    List<JsonNode> documents = lines.stream().map(Json::parse).toList();
    assertThat(documents)
        .extracting(line -> line.path("who").asString() + " " + line.path("status").asInt())
        .containsExactlyInAnyOrder("ops 200", " 401", "dash 403", "unix 404");
    assertThat(documents).extracting(line -> line.path("ua").asString()).contains("probe \"1\"");
    assertThat(documents.getFirst().propertyNames())
        .containsExactly("latency_us", "method", "path", "status", "ts", "ua", "who");
  }

  @Test
  void theLogRotatesAndNothingOfItIsLost() throws IOException {
    Path file = dir.resolve("a/audit.log");
    try (AuditLog log = new AuditLog(file, 600)) {
      for (int i = 0; i < 60; i++) {
        log.write(new AuditLog.Line("GET", "/" + i, 200, 1, "ua", "unix"));
      }
    }
    try (var files = Files.list(dir.resolve("a"))) {
      assertThat(files.map(path -> path.getFileName().toString()).collect(Collectors.toSet()))
          .contains("audit.log", "audit.log.1", "audit.log." + AuditLog.KEPT)
          .hasSize(AuditLog.KEPT + 1);
    }
    assertThat(Files.readAllLines(file).getLast()).contains("\"/59\"");
    Files.delete(file);
    try (AuditLog log = new AuditLog(file, 600)) {
      Files.delete(file);
      log.write(new AuditLog.Line("GET", "/x", 200, 1, "ua", "unix"));
      assertThat(file).exists();
    }
  }
}
