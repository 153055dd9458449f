package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Names, labels, times, pages, waits and keys of requests. */
final class SandboxLifeTest {
  @TempDir Path dir;
  private ApiFixture api;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    api.service.create("demo");
  }

  @AfterEach
  void close() {
    api.close();
  }

  private JsonNode fork(String fields) throws IOException {
    ApiFixture.Answer answer = api.post("/v1/sandboxes", body(fields));
    assertThat(answer.status()).as(answer.text()).isEqualTo(201);
    return answer.json();
  }

  private static String body(String fields) {
    return "{\"snapshot_tag\":\"demo\"" + (fields.isEmpty() ? "" : "," + fields) + "}";
  }

  private List<String> ids(String query) throws IOException {
    return StreamSupport.stream(api.get("/v1/sandboxes" + query).json().spliterator(), false)
        .map(one -> one.path("id").asString())
        .toList();
  }

  @Test
  void aNameIsUniqueAmongThoseThatRun() throws IOException {
    JsonNode one = fork("\"name\":\"web\"").path(0);
    assertThat(one.path("name").asString()).isEqualTo("web");
    assertThat(api.post("/v1/sandboxes", body("\"name\":\"web\"")).status()).isEqualTo(409);
    assertThat(api.service.engine.guests()).hasSize(1);
    JsonNode batch = fork("\"name\":\"web\",\"n\":2");
    assertThat(batch.findValuesAsString("name")).containsExactly("web-1", "web-2");
    api.delete("/v1/sandboxes/" + one.path("id").asString());
    assertThat(fork("\"name\":\"web\"")).hasSize(1);
    assertThat(ids("?name=web-2")).hasSize(1);
  }

  @Test
  void labelsChooseFromAList() throws IOException {
    fork("\"labels\":{\"job\":\"7\",\"tier\":\"a b\"},\"n\":2");
    fork("\"labels\":{\"job\":\"8\"}");
    fork("");
    assertThat(ids("?label=job=7")).hasSize(2);
    assertThat(ids("?label=job=7&label=tier=a%20b")).hasSize(2);
    assertThat(ids("?label=job=8&label=tier=x")).isEmpty();
    assertThat(ids("?tag=demo")).hasSize(4);
    assertThat(ids("?tag=other")).isEmpty();
    assertThat(api.get("/v1/sandboxes?label=job").status()).isEqualTo(400);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"labels\":{\"\":\"x\"}",
        "\"labels\":{\"-a\":\"x\"}",
        "\"labels\":{\"a\":1}",
        "\"labels\":[]",
        "\"labels\":{\"a\":\"x\\ny\"}",
        "\"name\":\"a/b\"",
        "\"name\":\"..\"",
        "\"ttl_secs\":-1",
        "\"ttl_secs\":\"1\"",
        "\"idle_timeout_secs\":1e12"
      })
  void whatCannotBeSaidOfASandboxIsRefused(String fields) throws IOException {
    assertThat(api.post("/v1/sandboxes", body(fields)).status()).isEqualTo(400);
    assertThat(api.service.engine.guests()).isEmpty();
  }

  @Test
  void pagesFollowOneAnother() throws IOException {
    fork("\"n\":5");
    List<String> all = ids("");
    assertThat(ids("?limit=2")).isEqualTo(all.subList(0, 2));
    assertThat(ids("?limit=2&after=" + all.get(1))).isEqualTo(all.subList(2, 4));
    assertThat(ids("?limit=2&after=" + all.get(3))).isEqualTo(all.subList(4, 5));
    assertThat(api.get("/v1/sandboxes?limit=-1").status()).isEqualTo(400);
  }

  @Test
  void aSandboxEndsWithItsTimeToLive() throws IOException {
    JsonNode one = fork("\"ttl_secs\":0.5,\"name\":\"short\"").path(0);
    assertThat(one.path("ttl_secs").asDouble()).isEqualTo(0.5);
    assertThat(one.path("expires_in_ms").asLong()).isBetween(1L, 500L);
    String path = "/v1/sandboxes/" + one.path("id").asString();
    await()
        .atMost(Duration.ofSeconds(10))
        .until(() -> api.get(path).json().path("state").asString().equals("ended"));
    JsonNode ended = api.get(path).json();
    assertThat(ended.path("ended").asString())
        .isEqualTo("expired: its time to live of 500 ms has passed");
    assertThat(ended.path("name").asString()).isEqualTo("short");
    await().until(() -> api.service.engine.guests().isEmpty());
    assertThat(api.get("/metrics").text())
        .contains("forkd_sandboxes_ended_total{reason=\"expired\"} 1");
  }

  @Test
  void aSandboxThatIsRenewedLives() throws IOException {
    String path = "/v1/sandboxes/" + fork("\"ttl_secs\":1").path(0).path("id").asString();
    JsonNode renewed = api.post(path + "/renew", "{\"ttl_secs\":600}").json();
    assertThat(renewed.path("expires_in_ms").asLong()).isGreaterThan(590_000);
    JsonNode again = api.call("POST", path + "/renew", new byte[0]).json();
    assertThat(again.path("ttl_secs").asLong()).isEqualTo(600);
    JsonNode forever = api.post(path + "/renew", "{\"ttl_secs\":0}").json();
    assertThat(forever.path("expires_in_ms").isNull()).isTrue();
    assertThat(api.post("/v1/sandboxes/nope/renew", "{}").status()).isEqualTo(404);
  }

  @Test
  void anIdleSandboxEndsAndABusyOneDoesNot() throws IOException {
    String idle = fork("\"idle_timeout_secs\":0.6").path(0).path("id").asString();
    String busy = fork("\"idle_timeout_secs\":0.6").path(0).path("id").asString();
    try (Http http = Http.unix(api.socket())) {
      http.send(
          "POST",
          "/v1/sandboxes/" + busy + "/exec",
          "{\"args\":[\"wait\"],\"stream\":true}".getBytes(UTF_8),
          ApiFixture.JSON);
      await().atMost(Duration.ofSeconds(10)).until(() -> !ids("").contains(idle));
      assertThat(ids("")).contains(busy);
    }
    await().atMost(Duration.ofSeconds(10)).until(() -> !ids("").contains(busy));
  }

  @Test
  void whoeverWaitsHearsOfTheEnd() throws Exception {
    JsonNode one = fork("").path(0);
    String path = "/v1/sandboxes/" + one.path("id").asString() + "/wait";
    assertThat(api.call("POST", path, new byte[0]).json().path("state").asString())
        .isEqualTo("running");
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Callable<ApiFixture.Answer> waiting = () -> api.post(path, "{\"state\":\"ended\"}");
      var answer = threads.submit(waiting);
      api.guest(one.path("id").asString()).end("killed by signal 9");
      assertThat(answer.get().json().path("ended").asString()).contains("signal 9");
    }
    assertThat(api.post(path, "{\"state\":\"ended\"}").status()).isEqualTo(200);
    assertThat(api.post(path, "{}").status()).isEqualTo(409);
    String lasting = "/v1/sandboxes/" + api.sandbox() + "/wait";
    assertThat(api.post(lasting, "{\"state\":\"ended\",\"timeout_secs\":1}").status())
        .isEqualTo(504);
    assertThat(api.post(lasting, "{\"state\":\"odd\"}").status()).isEqualTo(400);
  }

  @Test
  void aRepeatedKeyForksOnce() throws Exception {
    Set<String> answers = new ConcurrentSkipListSet<>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      var all =
          threads.invokeAll(
              IntStream.range(0, 8)
                  .mapToObj(i -> (Callable<Boolean>) () -> answers.add(keyed("k1", "").text()))
                  .toList());
      for (var each : all) {
        each.get();
      }
    }
    assertThat(answers).hasSize(1);
    assertThat(api.service.engine.guests()).hasSize(1);
    assertThat(keyed("k1", "\"n\":2").status()).isEqualTo(409);
    assertThat(keyed("k2", "").status()).isEqualTo(201);
    assertThat(api.service.engine.guests()).hasSize(2);
  }

  @Test
  void aFailureIsNotKeptForItsKey() throws IOException {
    api.service.engine.failChildren(index -> true);
    assertThat(keyed("k", "").status()).isEqualTo(503);
    api.service.engine.failChildren(index -> false);
    assertThat(keyed("k", "").status()).isEqualTo(201);
  }

  @ParameterizedTest
  @CsvSource({"'a b', 400", "'', 201"})
  void aKeyHasVisibleCharacters(String key, int status) throws IOException {
    assertThat(keyed(key, "").status()).isEqualTo(status);
  }

  private ApiFixture.Answer keyed(String key, String fields) throws IOException {
    return api.call(
        "POST",
        "/v1/sandboxes",
        body(fields).getBytes(UTF_8),
        ApiFixture.JSON,
        "Idempotency-Key: " + key);
  }
}
