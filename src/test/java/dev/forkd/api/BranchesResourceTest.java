package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

final class BranchesResourceTest {
  @TempDir Path dir;
  private ApiFixture api;
  private String id;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    id = api.sandbox();
  }

  @AfterEach
  void close() {
    api.close();
  }

  private ApiFixture.Answer branch(String body) throws IOException {
    return api.post("/v1/sandboxes/" + id + "/branch", body);
  }

  @Test
  void anEmptyObjectIsAFullBranch() throws IOException {
    ApiFixture.Answer answer = branch("{}");
    assertThat(answer.status()).isEqualTo(201);
    assertThat(answer.json().propertyNames())
        .containsExactly(
            "tag",
            "dir",
            "created_at_unix",
            "branched_from",
            "pause_ms",
            "status",
            "bootable",
            "engine",
            "warm",
            "recipe",
            "image_digest",
            "sandboxes",
            "secrets",
            "labels",
            "runtime");
    assertThat(answer.text()).contains("\"status\":\"ready\",\"bootable\":true");
    assertThat(answer.json().path("branched_from").asString()).isEqualTo(id);
    JsonNode sandbox = api.get("/v1/sandboxes/" + id).json();
    assertThat(sandbox.path("has_branched").asBoolean()).isTrue();
    assertThat(sandbox.path("branch_count").asInt()).isEqualTo(1);
    assertThat(sandbox.path("last_branch_memory_path").asString())
        .isEqualTo(answer.json().path("dir").asString());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"tag\":\"a\",\"diff\":true}",
        "{\"tag\":\"a\",\"mode\":\"diff\"}",
        "{\"tag\":\"a\",\"mode\":\"diff\",\"parent_tag\":\"demo\"}",
        "{\"tag\":\"a\",\"measure_diff\":true}",
        "{\"tag\":\"a\",\"mode\":\"full\",\"measure_diff\":true}",
        "{\"tag\":null,\"mode\":\"diff\",\"wait\":true,\"live\":false,\"unknown\":[1]}",
      })
  void diffsTellTheirFigures(String body) throws IOException {
    ApiFixture.Answer answer = branch(body);
    assertThat(answer.status()).as(answer.text()).isEqualTo(201);
    assertThat(answer.json().path("diff_ms").asInt()).isEqualTo(30);
    assertThat(answer.json().path("diff_physical_bytes").asInt()).isEqualTo(4096);
    assertThat(answer.json().path("diff_logical_bytes").asInt()).isEqualTo(1 << 20);
  }

  @Test
  void aLiveBranchThatNobodyWaitsForIs202() throws IOException {
    CountDownLatch gate = api.service.engine.branching().hold();
    ApiFixture.Answer answer = branch("{\"tag\":\"l\",\"mode\":\"live\",\"wait\":false}");
    assertThat(answer.status()).isEqualTo(202);
    assertThat(answer.text()).contains("\"pause_ms\":12,\"status\":\"writing\",\"bootable\":false");
    assertThat(api.get("/v1/snapshots").json()).hasSize(2);
    ApiFixture.Answer fork = api.post("/v1/sandboxes", "{\"snapshot_tag\":\"l\"}");
    assertThat(fork.status()).isEqualTo(409);
    gate.countDown();
    await()
        .until(
            () -> api.get("/v1/snapshots/l/info").json().path("status").asString().equals("ready"));
    assertThat(api.post("/v1/sandboxes", "{\"snapshot_tag\":\"l\"}").status()).isEqualTo(201);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        // What is wrong with the fields comes before an unknown sandbox.
        "nope | {\"tag\":\"a.b\"}                            | 400 | tag must be 1-64 chars",
        "nope | {\"mode\":\"copy\"}                          | 400 | full, diff or live",
        "nope | {\"mode\":\"diff\",\"diff\":true}            | 400 | exclude each other",
        "nope | {\"mode\":\"full\",\"live\":true}            | 400 | exclude each other",
        "nope | {\"mode\":\"diff\",\"measure_diff\":true}    | 400 | exclude each other",
        "nope | {\"diff\":true,\"live\":true}                | 400 | exclude each other",
        "nope | {\"diff\":true,\"measure_diff\":true}        | 400 | exclude each other",
        "nope | {\"wait\":false}                             | 400 | live",
        "nope | {\"mode\":\"full\",\"wait\":false}           | 400 | live",
        "nope | {\"tag\":\"demo\"}                           | 409 | already exists; DELETE first",
        "nope | {\"mode\":\"full\"}                          | 404 | sandbox nope not found",
        "nope | {\"mode\":\"diff\"}                          | 404 | sandbox nope not found",
        "nope | {\"mode\":\"live\"}                          | 404 | sandbox nope not found",
        "nope | {\"mode\":\"live\",\"wait\":false}           | 404 | sandbox nope not found",
        "ID   | {\"mode\":\"diff\",\"parent_tag\":\"other\"} | 400 | other",
        "ID   | {\"parent_tag\":\"demo\"}                    | 400 | parent_tag needs mode diff",
        "ID   | []                                           | 400 | JSON object",
      })
  void refusalsComeInTheirOrder(String sandbox, String body, int status, String text)
      throws IOException {
    String name = sandbox.equals("ID") ? id : sandbox;
    ApiFixture.Answer answer = api.post("/v1/sandboxes/" + name + "/branch", body);
    assertThat(answer.status()).as(answer.text()).isEqualTo(status);
    assertThat(answer.json().path("error").asString()).contains(text);
    assertThat(api.get("/v1/snapshots").json()).hasSize(1);
  }

  @Test
  void infoTellsTheFamily() throws IOException {
    branch("{\"tag\":\"mid\",\"mode\":\"diff\"}");
    id = api.service.fork("mid", 1).getFirst().id().text();
    branch("{\"tag\":\"leaf\",\"mode\":\"diff\"}");
    JsonNode base = api.get("/v1/snapshots/demo/info").json();
    assertThat(base.path("chain_depth").asInt()).isZero();
    assertThat(base.path("dependents").toString()).isEqualTo("[\"mid\"]");
    assertThat(base.path("ancestors").isEmpty()).isTrue();
    assertThat(base.has("parent_tag")).isFalse();
    assertThat(base.has("parent_content_hash")).isFalse();
    JsonNode leaf = api.get("/v1/snapshots/leaf/info").json();
    assertThat(leaf.path("chain_depth").asInt()).isEqualTo(2);
    assertThat(leaf.path("ancestors").toString()).isEqualTo("[\"demo\",\"mid\"]");
    assertThat(leaf.path("parent_tag").asString()).isEqualTo("mid");
    assertThat(leaf.path("parent_content_hash").asString()).matches("[0-9a-f]{64}");
    assertThat(leaf.path("memory_logical_bytes").asInt()).isEqualTo(1 << 20);
    assertThat(leaf.path("memory_physical_bytes").asInt()).isEqualTo(4096);
    assertThat(leaf.path("vmstate_bytes").asInt()).isPositive();
    ApiFixture.Answer refused = api.delete("/v1/snapshots/mid");
    assertThat(refused.status()).isEqualTo(409);
    assertThat(api.delete("/v1/snapshots/demo?cascade=true&force=true").status()).isEqualTo(400);
    assertThat(api.delete("/v1/snapshots/demo?cascade=true").status()).isEqualTo(204);
    assertThat(api.get("/v1/snapshots").json()).isEmpty();
  }

  @Test
  void dependentsAreNamedBeforeADelete() throws IOException {
    branch("{\"tag\":\"mid\",\"mode\":\"diff\"}");
    api.delete("/v1/sandboxes/" + id);
    ApiFixture.Answer refused = api.delete("/v1/snapshots/demo");
    assertThat(refused.status()).isEqualTo(409);
    assertThat(refused.json().path("error").asString())
        .contains("demo", "mid", "?cascade=true", "?force=true");
    assertThat(api.delete("/v1/snapshots/demo?force=true").status()).isEqualTo(204);
    assertThat(api.get("/v1/snapshots/mid/info").status()).isEqualTo(200);
  }

  @Test
  void compactAnswers200() throws IOException {
    branch("{\"tag\":\"mid\",\"mode\":\"diff\"}");
    ApiFixture.Answer answer = api.post("/v1/snapshots/mid/compact", "{\"to\":\"flat\"}");
    assertThat(answer.status()).as(answer.text()).isEqualTo(200);
    assertThat(answer.json().path("branched_from").asString()).isEqualTo("compact:mid");
    assertThat(api.post("/v1/snapshots/mid/compact", "{\"to\":\"flat\"}").status()).isEqualTo(409);
    assertThat(api.post("/v1/snapshots/mid/compact", "{\"to\":\"mid\"}").status()).isEqualTo(400);
    assertThat(api.post("/v1/snapshots/mid/compact", "{\"to\":\"a.b\"}").status()).isEqualTo(400);
    assertThat(api.post("/v1/snapshots/a.b/compact", "{\"to\":\"x\"}").status()).isEqualTo(400);
    assertThat(api.post("/v1/snapshots/nope/compact", "{\"to\":\"x\"}").status()).isEqualTo(404);
  }

  @Test
  void workspacesComeAndGo() throws IOException {
    assertThat(api.get("/v1/workspaces").text()).isEqualTo("[]");
    ApiFixture.Answer made =
        api.post(
            "/v1/workspaces",
            "{\"name\":\"w1\",\"snapshot_tag\":\"demo\",\"memory_limit_mib\":null}");
    assertThat(made.status()).as(made.text()).isEqualTo(201);
    assertThat(made.json().propertyNames())
        .containsExactly(
            "id",
            "name",
            "source_snapshot_tag",
            "status",
            "live_sandbox_id",
            "created_at_unix",
            "last_active_unix",
            "per_child_netns");
    ApiFixture.Answer suspended = api.post("/v1/workspaces/w1/suspend", "{\"diff\":true}");
    assertThat(suspended.status()).as(suspended.text()).isEqualTo(200);
    assertThat(suspended.text())
        .contains("\"status\":\"suspended\",\"current_state_tag\":\"ws-w1-state\"")
        .doesNotContain("live_sandbox_id");
    assertThat(api.post("/v1/workspaces/w1/suspend", "{}").status()).isEqualTo(400);
    ApiFixture.Answer resumed = api.call("POST", "/v1/workspaces/w1/resume", new byte[0]);
    assertThat(resumed.status()).as(resumed.text()).isEqualTo(200);
    assertThat(api.post("/v1/workspaces/w1/resume", "{}").status()).isEqualTo(400);
    assertThat(api.get("/v1/workspaces/%77%31").json().path("status").asString())
        .isEqualTo("running");
    assertThat(api.delete("/v1/workspaces/w1")).isEqualTo(new ApiFixture.Answer(204, "", "", ""));
    assertThat(api.get("/v1/workspaces/w1").json().path("error").asString())
        .isEqualTo("workspace w1 not found");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "POST   | /v1/workspaces | {}                                           | 400",
        "POST   | /v1/workspaces | {\"name\":\"w\"}                             | 400",
        "POST   | /v1/workspaces | {\"name\":\"../w\",\"snapshot_tag\":\"demo\"} | 400",
        "POST   | /v1/workspaces | {\"name\":\"w\",\"snapshot_tag\":\"nope\"}   | 404",
        "GET    | /v1/workspaces/w         | {}                                 | 404",
        "DELETE | /v1/workspaces/w         | {}                                 | 404",
        "DELETE | /v1/workspaces/..        | {}                                 | 400",
        "POST   | /v1/workspaces/w/suspend | {}                                 | 404",
        "POST   | /v1/workspaces/w/resume  | {}                                 | 404",
      })
  void workspacesThatAreNotThere(String method, String path, String body, int status)
      throws IOException {
    ApiFixture.Answer answer = api.call(method, path, body.getBytes(UTF_8), ApiFixture.JSON);
    assertThat(answer.status()).as(answer.text()).isEqualTo(status);
  }
}
