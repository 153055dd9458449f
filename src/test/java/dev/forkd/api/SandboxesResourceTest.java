package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class SandboxesResourceTest {
  private static final byte[] NOTHING = {};
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

  @Test
  void aSandboxHasEveryFieldAndNulls() throws IOException {
    ApiFixture.Answer answer = api.post("/v1/sandboxes", "{\"snapshot_tag\":\"demo\"}");
    assertThat(answer.status()).isEqualTo(201);
    assertThat(answer.json().isArray()).isTrue();
    JsonNode one = answer.json().path(0);
    assertThat(one.path("id").asString()).matches("sb-[0-9a-f]+-[0-9a-f]{4}");
    assertThat(
            Json.text(one).replaceAll("[0-9]{10}|(?<=_ms\":)[0-9.]+|sb-[0-9a-f-]+|50[0-9]{5}", "#"))
        .isEqualTo(
            "{\"id\":\"#\",\"snapshot_tag\":\"demo\",\"netns\":null,"
                + "\"guest_addr\":\"10.42.0.2:8888\",\"created_at_unix\":#,\"pid\":#,"
                + "\"memory_limit_mib\":null,\"has_branched\":false,"
                + "\"last_branch_memory_path\":null,\"branch_count\":0,\"engine\":\"process\","
                + "\"isolation\":\"process\",\"state\":\"running\",\"runtime\":\"ready\","
                + "\"ready_ms\":#,\"memory_bytes\":null,\"ended\":null,\"name\":null,\"labels\":{},"
                + "\"ttl_secs\":null,\"expires_in_ms\":null,\"idle_timeout_secs\":null,"
                + "\"secrets\":false}");
    assertThat(api.get("/v1/sandboxes").json()).isEqualTo(answer.json());
    assertThat(api.get("/v1/sandboxes/" + one.path("id").asString()).json()).isEqualTo(one);
  }

  @Test
  void oneThatMustBeReachedHasANetwork() throws IOException {
    String body = "{\"snapshot_tag\":\"demo\",\"per_child_netns\":true}";
    JsonNode one = api.post("/v1/sandboxes", body).json().path(0);
    assertThat(one.path("netns").asString()).isEqualTo("forkd-child-1");
    String path = "/v1/sandboxes/" + one.path("id").asString() + "/network";
    assertThat(api.get(path).json().path("network").asString()).isEqualTo("local");
  }

  @Test
  void aBatchWithAMemoryLimit() throws IOException {
    JsonNode batch =
        api.post(
                "/v1/sandboxes",
                "{\"snapshot_tag\":\"demo\",\"n\":3,\"memory_limit_mib\":64,\"prewarm\":false}")
            .json();
    assertThat(batch).hasSize(3).allMatch(one -> one.path("memory_limit_mib").asInt() == 64);
    assertThat(batch.findValuesAsString("id")).isSorted().doesNotHaveDuplicates();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{\"snapshot_tag\":\"demo\",\"n\":0}     | 400 | n must be ≥ 1",
        "{\"snapshot_tag\":\"../x\",\"n\":0}     | 400 | n must be ≥ 1",
        "{\"snapshot_tag\":\"demo\",\"n\":1001}  | 400 | n must be ≤ 1000 (sanity cap)",
        "{\"snapshot_tag\":\"demo\",\"n\":4294967297} | 400 | n must be ≤ 1000",
        "{\"snapshot_tag\":\"demo\",\"n\":-1}    | 400 | field `n` must be",
        "{\"snapshot_tag\":\"demo\",\"n\":1.5}   | 400 | field `n` must be a whole number",
        "{\"snapshot_tag\":\"demo\",\"n\":\"2\"} | 400 | field `n` must be a whole number",
        "{\"snapshot_tag\":\"demo\",\"n\":99999999999999999999} | 400 | field `n`",
        "{\"n\":1}                               | 400 | missing field `snapshot_tag`",
        "{\"snapshot_tag\":null}                 | 400 | missing field `snapshot_tag`",
        "{\"snapshot_tag\":[\"demo\"]}           | 400 | must be a string",
        "{\"snapshot_tag\":\"../etc\"}           | 400 | snapshot_tag must be 1-64 chars",
        "{\"snapshot_tag\":\"a.b\"}              | 400 | snapshot_tag must be 1-64 chars",
        "{\"snapshot_tag\":\"\"}                 | 400 | snapshot_tag must be 1-64 chars",
        "{\"snapshot_tag\":\"nope\"}             | 404 | snapshot nope not found",
        "{\"snapshot_tag\":\"demo\",\"memory_limit_mib\":0} | 400 | memory_limit_mib",
        "{\"snapshot_tag\":\"demo\",\"memory_limit_mib\":\"64\"} | 400 | whole number",
        "{\"snapshot_tag\":\"demo\",\"snapshot_tag\":\"x\"} | 400 | not JSON",
        "42                                      | 400 | must be a JSON object",
      })
  void badForksAreRefused(String json, int status, String text) throws IOException {
    ApiFixture.Answer answer = api.post("/v1/sandboxes", json);
    assertThat(answer.status()).as(answer.text()).isEqualTo(status);
    assertThat(answer.json().path("error").asString()).contains(text);
    assertThat(api.service.engine.guests()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Content-Type: application/json; charset=utf-8",
        "Content-Type: Application/JSON",
        "Content-Type: application/vnd.forkd+json"
      })
  void jsonTypesAreTaken(String header) throws IOException {
    byte[] body = "{\"snapshot_tag\":\"demo\"}".getBytes(StandardCharsets.UTF_8);
    assertThat(api.call("POST", "/v1/sandboxes", body, header).status()).isEqualTo(201);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"X-Nothing: 1", "Content-Type: text/plain", "Content-Type: application/jsonx"})
  void otherTypesAreNot(String header) throws IOException {
    byte[] body = "{\"snapshot_tag\":\"demo\"}".getBytes(StandardCharsets.UTF_8);
    ApiFixture.Answer answer = api.call("POST", "/v1/sandboxes", body, header);
    assertThat(answer.status()).isEqualTo(415);
    assertThat(answer.text()).contains("application/json").contains("unsupported_media");
  }

  @Test
  void anEmptyBodyIsNoJson() throws IOException {
    assertThat(api.post("/v1/sandboxes", "").status()).isEqualTo(400);
  }

  @Test
  void aBodyOverTheLimitIsRefused() throws IOException {
    byte[] large = new byte[Call.MAX_BODY + 1];
    java.util.Arrays.fill(large, (byte) ' ');
    ApiFixture.Answer answer = api.call("POST", "/v1/sandboxes", large, ApiFixture.JSON);
    assertThat(answer.status()).isEqualTo(413);
    assertThat(answer.text()).contains("too_large");
    byte[] fits = java.util.Arrays.copyOf(large, Call.MAX_BODY);
    byte[] json = "{\"snapshot_tag\":\"demo\"}".getBytes(StandardCharsets.UTF_8);
    System.arraycopy(json, 0, fits, 0, json.length);
    assertThat(api.call("POST", "/v1/sandboxes", fits, ApiFixture.JSON).status()).isEqualTo(201);
  }

  @Test
  void aFailedBatchIsAFailure() throws IOException {
    api.service.engine.failChildren(index -> index == 1);
    ApiFixture.Answer answer = api.post("/v1/sandboxes", "{\"snapshot_tag\":\"demo\",\"n\":3}");
    assertThat(answer.status()).isEqualTo(503);
    assertThat(answer.json().path("retryable").asBoolean()).isTrue();
    assertThat(answer.json().path("detail").asString()).isEqualTo("log");
    assertThat(answer.json().path("error").asString()).contains("1 of 3 children");
    assertThat(api.get("/v1/sandboxes").text()).isEqualTo("[]");
  }

  @Test
  void getAndDeleteTakeAContentType() throws IOException {
    String id = api.sandbox();
    assertThat(api.call("GET", "/v1/sandboxes/" + id, NOTHING, ApiFixture.JSON).status())
        .isEqualTo(200);
    assertThat(api.call("DELETE", "/v1/sandboxes/" + id, NOTHING, ApiFixture.JSON))
        .isEqualTo(new ApiFixture.Answer(204, "", "", ""));
    assertThat(api.delete("/v1/sandboxes/" + id).status()).isEqualTo(404);
  }

  @Test
  void idsArePercentDecoded() throws IOException {
    String id = api.sandbox();
    String encoded = id.replace("-", "%2D");
    assertThat(api.get("/v1/sandboxes/" + encoded).status()).isEqualTo(200);
    assertThat(api.delete("/v1/sandboxes/" + encoded).status()).isEqualTo(204);
  }

  @ParameterizedTest
  @ValueSource(strings = {"sb-1-0000", "..", "%2e%2e", "a%2Fb", "x%0ay", "%F0%9F%98%80"})
  void unknownIdsAreNotFoundOnEveryRoute(String id) throws IOException {
    String base = "/v1/sandboxes/" + id;
    assertThat(api.get(base).status()).isEqualTo(404);
    assertThat(api.delete(base).status()).isEqualTo(404);
    assertThat(api.post(base + "/ping", "").status()).isEqualTo(404);
    for (String verb : new String[] {"exec", "call", "eval", "branch"}) {
      ApiFixture.Answer answer = api.post(base + "/" + verb, "{}");
      assertThat(answer.status()).isEqualTo(404);
      assertThat(answer.json().path("error").asString()).endsWith("not found");
    }
    assertThat(api.post(base + "/programs/p-0000/signal", "{\"signal\":9}").status())
        .isEqualTo(404);
  }

  @Test
  void pingNeedsNoBody() throws IOException {
    String path = "/v1/sandboxes/" + api.sandbox() + "/ping";
    ApiFixture.Answer answer = api.call("POST", path, NOTHING);
    assertThat(answer.status()).isEqualTo(200);
    JsonNode pong = answer.json();
    assertThat(pong.path("pong").asBoolean()).isTrue();
    assertThat(pong.path("numpy_version").asString()).isEqualTo("1.24.2");
    assertThat(pong.path("pid").asInt()).isEqualTo(1);
    assertThat(pong.path("agent_lang").asString()).isEqualTo("python");
    assertThat(pong.path("warmup_ready").asBoolean()).isTrue();
    assertThat(pong.path("runtime").asString()).isEqualTo("ready");
    assertThat(pong.path("python").asString()).isEqualTo("3.11.2");
    assertThat(api.post(path, "{}").status()).isEqualTo(200);
    byte[] junk = "this is not JSON".getBytes(StandardCharsets.UTF_8);
    assertThat(api.call("POST", path, junk, "Content-Type: text/plain").status()).isEqualTo(200);
  }

  @Test
  void pingWithoutARuntime() throws IOException {
    api.service.create("plain", "name: plain\nimage: host\n", false);
    String id = api.service.fork("plain", 1).getFirst().id().text();
    JsonNode pong = api.post("/v1/sandboxes/" + id + "/ping", "").json();
    assertThat(pong.path("agent_lang").asString()).isEqualTo("none");
    assertThat(pong.path("numpy_version").asString()).isEqualTo("not-installed");
    assertThat(pong.path("warmup_ready").asBoolean(true)).isFalse();
  }

  @Test
  void evals() throws IOException {
    String path = "/v1/sandboxes/" + api.sandbox() + "/eval";
    assertThat(api.post(path, "{\"code\":\"1+1\"}").text())
        .isEqualTo(
            "{\"result\":\"1+1\",\"error\":null,\"exit_code\":0,\"stdout\":\"\",\"stderr\":\"\","
                + "\"traceback\":null,\"truncated\":false,\"restarted\":false}");
    JsonNode failed = api.post(path, "{\"code\":\"boom\"}").json();
    assertThat(failed.path("result").isNull()).isTrue();
    assertThat(failed.path("error").asString()).isEqualTo("NameError: boom");
    assertThat(failed.path("exit_code").asInt()).isEqualTo(1);
    assertThat(api.post(path, "{\"code\":\"print(1)\"}").json().path("stdout").asString())
        .isEqualTo("1\n");
    ApiFixture.Answer slow = api.post(path, "{\"code\":\"slow\",\"timeout_secs\":2.5}");
    assertThat(slow.status()).isEqualTo(504);
    assertThat(api.post(path, "{}").text()).contains("missing field `code`");
    assertThat(api.post(path, "{\"code\":\"1\",\"timeout_secs\":0}").status()).isEqualTo(400);
  }

  @Test
  void onlyTheRunningAreListedUnlessAllAreAskedFor() throws IOException {
    String dead = api.sandbox();
    String live = api.sandbox();
    api.guest(dead).end("killed: out of memory");
    await()
        .until(
            () -> api.get("/v1/sandboxes/" + dead).json().path("state").asString().equals("ended"));
    for (String path : new String[] {"/v1/sandboxes", "/v1/sandboxes?all=false"}) {
      assertThat(api.get(path).json().findValuesAsString("id")).containsExactly(live);
    }
    JsonNode all = api.get("/v1/sandboxes?all=true").json();
    assertThat(all.findValuesAsString("id")).containsExactly(dead, live);
    assertThat(all.path(0)).isEqualTo(api.get("/v1/sandboxes/" + dead).json());
    assertThat(all.path(0).path("ended").asString()).isEqualTo("killed: out of memory");
    assertThat(all.path(1).path("ended").isNull()).isTrue();
    ApiFixture.Answer odd = api.get("/v1/sandboxes?all=yes");
    assertThat(odd.status()).isEqualTo(400);
    assertThat(odd.json().path("error").asString()).contains("`all` must be true or false");
  }

  @Test
  void whatHasEndedIsAConflict() throws IOException {
    String id = api.sandbox();
    api.guest(id).end("killed: out of memory");
    await()
        .until(
            () -> api.get("/v1/sandboxes/" + id).json().path("state").asString().equals("ended"));
    assertThat(api.get("/v1/sandboxes/" + id).json().path("ended").asString())
        .isEqualTo("killed: out of memory");
    ApiFixture.Answer ping = api.post("/v1/sandboxes/" + id + "/ping", "");
    assertThat(ping.status()).isEqualTo(409);
    assertThat(ping.json().path("error").asString())
        .isEqualTo("sandbox " + id + " has ended: killed: out of memory");
    assertThat(api.delete("/v1/sandboxes/" + id).status()).isEqualTo(204);
  }
}
