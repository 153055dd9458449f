package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.service.FakeEngine;
import dev.forkd.service.ServiceFixture;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

final class SnapshotsResourceTest {
  private static final String EVENTS = "Accept: application/x-ndjson";
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

  private static String body(String tag) {
    ObjectNode body = Json.object().put("recipe", ServiceFixture.RECIPE).put("tag", tag);
    return Json.text(body.put("recipe_dir", "/tmp").put("future", "ignored").putNull("engine"));
  }

  @Test
  void aRecipeBecomesASnapshot() throws IOException {
    ApiFixture.Answer answer = api.post("/v1/snapshots", body("demo"));
    assertThat(answer.status()).isEqualTo(201);
    JsonNode made = answer.json();
    assertThat(made.propertyNames())
        .containsExactly(
            "tag",
            "dir",
            "created_at_unix",
            "status",
            "bootable",
            "engine",
            "warm",
            "recipe",
            "image_digest",
            "warm_ms",
            "sandboxes",
            "secrets",
            "labels",
            "runtime");
    assertThat(made.path("tag").asString()).isEqualTo("demo");
    assertThat(made.path("status").asString()).isEqualTo("ready");
    assertThat(made.path("runtime")).isEqualTo(Json.parse(FakeEngine.REPORT));
    assertThat(api.get("/v1/snapshots").json()).isEqualTo(Json.array().add(made));
    JsonNode info = api.get("/v1/snapshots/demo/info").json();
    assertThat(info.properties()).containsAll(made.properties());
    assertThat(info.path("chain_depth").asInt(-1)).isZero();
    assertThat(api.get("/v1/snapshots/d%65mo/info").json()).isEqualTo(info);
    assertThat(api.service.engine.lastTemplate().plan().warm().imports()).containsExactly("json");
  }

  @Test
  void aTakenTagAndReplace() throws IOException {
    api.post("/v1/snapshots", body("demo"));
    ApiFixture.Answer taken = api.post("/v1/snapshots", body("demo"));
    assertThat(taken.status()).isEqualTo(409);
    assertThat(taken.text()).contains("snapshot demo already exists");
    String replace = body("demo").replace("{", "{\"replace\":true,");
    assertThat(api.post("/v1/snapshots", replace).status()).isEqualTo(201);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{}                                  | 400 | missing field `recipe`",
        "{\"recipe\":1}                      | 400 | field `recipe` must be a string",
        "{\"recipe\":\"name: [\"}            | 400 | line",
        "{\"recipe\":\"nme: x\"}             | 400 | name",
        "{\"recipe\":\"\",\"tag\":\"../x\"}  | 400 | tag must be 1-64 chars",
        "{\"recipe\":\"name: a\",\"tag\":7}  | 400 | field `tag` must be a string",
        "{\"recipe\":\"\",\"recipe_dir\":\"a\"} | 400 | absolute",
        "{\"recipe\":\"\",\"recipe_dir\":\"/a\\u0000\"} | 400 | recipe_dir",
        "{\"recipe\":\"\",\"engine\":\"xen\"} | 400 | not one of",
        "{\"recipe\":\"\",\"replace\":\"y\"} | 400 | true or false",
        "{\"tag\":\"a\",\"kernel\":\"/k\",\"rootfs\":\"/r\"} | 501 | send `recipe`",
        "{\"tag\":\"../a\",\"kernel\":\"/k\"} | 400 | tag must be",
        "[]                                  | 400 | must be a JSON object",
        "{                                   | 400 | not JSON",
        "null                                | 400 | must be a JSON object",
      })
  void badBodiesAreRefused(String json, int status, String text) throws IOException {
    ApiFixture.Answer answer = api.post("/v1/snapshots", json);
    assertThat(answer.status()).as(answer.text()).isEqualTo(status);
    assertThat(answer.type()).isEqualTo("application/json");
    assertThat(answer.json().path("error").asString()).contains(text);
    assertThat(answer.json().path("retryable").asBoolean()).isFalse();
    assertThat(api.get("/v1/snapshots").text()).isEqualTo("[]");
  }

  @Test
  void anEngineThatIsNotThereIsTold() throws IOException {
    ApiFixture.Answer answer =
        api.post("/v1/snapshots", body("demo").replace("\"engine\":null", "\"engine\":\"vm\""));
    assertThat(answer.status()).isEqualTo(501);
    assertThat(answer.json().path("kind").asString()).isEqualTo("unsupported");
  }

  @Test
  void aFailedWarmUpTellsTheTraceback() throws IOException {
    api.service.engine.failWarmUps(
        new Failure(FailureKind.ENGINE, "warm-up: import numpyy failed", "Traceback\n  line"));
    ApiFixture.Answer answer = api.post("/v1/snapshots", body("demo"));
    assertThat(answer.status()).isEqualTo(500);
    assertThat(answer.text())
        .isEqualTo(
            "{\"error\":\"warm-up: import numpyy failed\",\"kind\":\"engine\","
                + "\"retryable\":false,\"detail\":\"Traceback\\n  line\"}");
  }

  private List<JsonNode> events(String body) throws IOException {
    ApiFixture.Answer answer =
        api.call(
            "POST",
            "/v1/snapshots",
            body.getBytes(StandardCharsets.UTF_8),
            ApiFixture.JSON,
            EVENTS);
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.type()).isEqualTo("application/x-ndjson");
    return answer.text().lines().filter(line -> !line.isEmpty()).map(Json::parse).toList();
  }

  @Test
  void progressIsStreamed() throws IOException {
    List<JsonNode> events = events(body("demo"));
    assertThat(events)
        .extracting(event -> event.path("event").asString())
        .containsExactly("progress", "progress", "log", "progress", "log", "snapshot");
    assertThat(events.get(0).path("phase").asString()).isEqualTo("image");
    assertThat(events.get(3).path("phase").asString()).isEqualTo("warm");
    assertThat(events.get(4).path("line").asString()).isEqualTo("import json 1 ms");
    assertThat(events.getLast().path("snapshot"))
        .isEqualTo(api.get("/v1/snapshots").json().path(0));
  }

  @Test
  void aFailureInMidStreamIsTheLastEvent() throws IOException {
    api.service.engine.failWarmUps(new Failure(FailureKind.TIMEOUT, "too slow", "the log"));
    JsonNode last = events(body("demo")).getLast();
    assertThat(Json.text(last))
        .isEqualTo(
            "{\"event\":\"error\",\"error\":\"too slow\",\"kind\":\"timeout\","
                + "\"retryable\":true,\"detail\":\"the log\"}");
  }

  @Test
  void aFailureBeforeTheFirstEventIsAReply() throws IOException {
    ApiFixture.Answer answer =
        api.call(
            "POST",
            "/v1/snapshots",
            "{\"recipe\":\"nope: 1\"}".getBytes(StandardCharsets.UTF_8),
            ApiFixture.JSON,
            EVENTS);
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.json().path("kind").asString()).isEqualTo("invalid");
  }

  @Test
  void whoHangsUpGetsTheSnapshotAllTheSame() throws IOException {
    CountDownLatch gate = api.service.engine.holdWarmUps();
    try (Http http = Http.unix(api.socket())) {
      http.send(
          "POST",
          "/v1/snapshots",
          body("demo").getBytes(StandardCharsets.UTF_8),
          ApiFixture.JSON,
          EVENTS);
      assertThat(http.chunk()).contains("progress");
    }
    assertThat(api.get("/v1/snapshots").json().path(0).path("status").asString())
        .isEqualTo("writing");
    gate.countDown();
    await()
        .until(() ->
            api.get("/v1/snapshots/demo/info").json().path("status").asString().equals("ready"));
  }

  @Test
  void deleting() throws IOException {
    api.service.create("demo");
    assertThat(api.delete("/v1/snapshots/demo?cascade=1").status()).isEqualTo(400);
    assertThat(api.delete("/v1/snapshots/demo?cascade=true&force=true").status()).isEqualTo(400);
    String id = api.sandbox();
    ApiFixture.Answer used = api.delete("/v1/snapshots/demo");
    assertThat(used.status()).isEqualTo(409);
    assertThat(used.text()).contains("?cascade=true", "?force=true");
    assertThat(api.delete("/v1/snapshots/demo?cascade=true"))
        .isEqualTo(new ApiFixture.Answer(204, "", "", ""));
    assertThat(api.get("/v1/sandboxes/" + id).status()).isEqualTo(404);
    ApiFixture.Answer gone = api.delete("/v1/snapshots/demo");
    assertThat(gone.status()).isEqualTo(404);
    assertThat(gone.json().path("error").asString()).isEqualTo("snapshot demo not found");
  }

  @ParameterizedTest
  @CsvSource({
    "nope,404",
    "a.b,400",
    "%2e%2e%2fetc,400",
    "%zz,400",
    "%,400",
    "a%00b,400",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,400"
  })
  void badTagsAreRefused(String tag, int status) throws IOException {
    assertThat(api.get("/v1/snapshots/" + tag + "/info").status()).isEqualTo(status);
    assertThat(api.delete("/v1/snapshots/" + tag).status()).isEqualTo(status);
  }

  @Test
  void listsAreFilteredAndPaged() throws IOException {
    for (String tag : new String[] {"c", "a", "b"}) {
      api.service.create(tag);
    }
    assertThat(tags("?limit=2")).containsExactly("a", "b");
    assertThat(tags("?limit=2&after=b")).containsExactly("c");
    assertThat(tags("?status=ready")).hasSize(3);
    assertThat(tags("?status=failed")).isEmpty();
    assertThat(tags("?recipe=none")).isEmpty();
    assertThat(tags("?label=team=a")).isEmpty();
    assertThat(api.get("/v1/snapshots?limit=-1").status()).isEqualTo(400);
    assertThat(api.get("/v1/snapshots?status=odd").text()).contains("writing, ready or failed");
  }

  @Test
  void labelsAreKeptAndFound() throws IOException {
    for (String team : new String[] {"a", "b"}) {
      ObjectNode body = Json.object().put("recipe", ServiceFixture.RECIPE).put("tag", team);
      body.putObject("labels").put("team", team).put("kind", "test");
      var made = api.post("/v1/snapshots", Json.text(body));
      assertThat(made.status()).isEqualTo(201);
      assertThat(made.json().path("labels").path("team").asString()).isEqualTo(team);
      assertThat(made.json().path("secrets").asBoolean()).isFalse();
    }
    assertThat(tags("?label=kind=test")).containsExactly("a", "b");
    assertThat(tags("?label=kind=test&label=team=b")).containsExactly("b");
    assertThat(api.get("/v1/snapshots?label=team").status()).isEqualTo(400);
    String odd = "{\"recipe\":\"name: x\",\"labels\":{\"/\":\"\"}}";
    assertThat(api.post("/v1/snapshots", odd).text()).contains("a label's key");
  }

  private List<String> tags(String query) throws IOException {
    return api.get("/v1/snapshots" + query).json().findValuesAsString("tag");
  }
}
