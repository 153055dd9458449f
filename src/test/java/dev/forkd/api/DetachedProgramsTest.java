package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class DetachedProgramsTest {
  @TempDir Path dir;
  private ApiFixture api;
  private String sandbox;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    sandbox = "/v1/sandboxes/" + api.sandbox();
  }

  @AfterEach
  void close() {
    api.close();
  }

  private JsonNode detach(String fields) throws IOException {
    ApiFixture.Answer answer = api.post(sandbox + "/exec", "{\"detach\":true," + fields + "}");
    assertThat(answer.status()).as(answer.text()).isEqualTo(201);
    return answer.json();
  }

  private String path(JsonNode program) {
    return sandbox + "/programs/" + program.path("program").asString();
  }

  private List<JsonNode> output(JsonNode program, String query) throws IOException {
    ApiFixture.Answer answer = api.get(path(program) + "/output" + query);
    assertThat(answer.status()).as(answer.text()).isEqualTo(200);
    return answer.text().lines().filter(line -> !line.isEmpty()).map(Json::parse).toList();
  }

  private void awaitEnd(JsonNode program) {
    await().until(() -> !api.get(path(program)).json().path("running").asBoolean());
  }

  private ProgramSpec lastSpec() {
    return api.guest(sandbox.substring(sandbox.lastIndexOf('/') + 1)).specs().getLast();
  }

  @Test
  void isToldWithEveryField() throws IOException {
    JsonNode started = detach("\"args\":[\"wait\"]");
    assertThat(Json.text(started))
        .matches(
            "\\{\"program\":\"p-[0-9a-f]+\",\"command\":\\[\"wait\"],\"pid\":42,\"warm\":false,"
                + "\"started_at_unix_ms\":[0-9]{13},\"running\":true,\"exit_code\":null,"
                + "\"error\":null,\"timed_out\":false,\"out_of_memory\":false,"
                + "\"output_from\":0,\"output_to\":0}");
    assertThat(api.get(path(started)).json()).isEqualTo(started);
    assertThat(api.get(sandbox + "/programs").json()).containsExactly(started);
    assertThat(lastSpec().timeout()).isEqualTo(Duration.ofDays(1));
    detach("\"args\":[\"wait\"],\"timeout_secs\":7,\"pty\":{\"rows\":3}");
    assertThat(lastSpec().timeout()).isEqualTo(Duration.ofSeconds(7));
    assertThat(lastSpec().terminal()).isEqualTo(Optional.of(new TerminalSize(3, 80)));
    assertThat(api.post(path(started) + "/signal", "{\"signal\":15}").status()).isEqualTo(204);
    awaitEnd(started);
    assertThat(api.get(path(started)).json().path("exit_code").asInt()).isEqualTo(-15);
    assertThat(api.delete(path(started)).status()).isEqualTo(204);
    assertThat(api.get(path(started)).status()).isEqualTo(404);
  }

  @Test
  void outputIsToldFromAPosition() throws IOException {
    JsonNode program = detach("\"args\":[\"echo\",\"hello\"]");
    List<JsonNode> events = output(program, "?follow=true");
    assertThat(events.get(0).path("event").asString()).isEqualTo("started");
    assertThat(events.get(0).path("program")).isEqualTo(program.path("program"));
    assertThat(Json.text(events.get(1)))
        .isEqualTo("{\"event\":\"stdout\",\"data\":\"hello\\n\",\"offset\":6}");
    assertThat(events.get(2).path("exit_code").asInt()).isZero();
    assertThat(events).hasSize(3);
    assertThat(output(program, "?offset=4").get(1).path("data").asString()).isEqualTo("o\n");
    assertThat(output(program, "?offset=6").get(1).path("event").asString()).isEqualTo("exit");
    List<JsonNode> beyond = output(program, "?offset=7");
    assertThat(beyond.get(1).path("kind").asString()).isEqualTo("invalid");
  }

  @Test
  void aRunningOneIsReadWithoutWaiting() throws IOException {
    JsonNode program = detach("\"args\":[\"wait\"]");
    assertThat(output(program, "")).hasSize(1);
  }

  @Test
  void halfACharacterIsToldWhenItIsWhole() throws IOException {
    JsonNode program = detach("\"args\":[\"split\"]");
    awaitEnd(program);
    StringBuilder text = new StringBuilder();
    long offset = 0;
    for (JsonNode event : output(program, "")) {
      text.append(event.path("data").asString(""));
      offset = event.path("offset").asLong(offset);
    }
    assertThat(text).hasToString("aé€😀z");
    assertThat(offset).isEqualTo("aé€😀z".getBytes(StandardCharsets.UTF_8).length);
  }

  @Test
  void whatIsKeptNoLongerIsToldAsLost() throws IOException {
    JsonNode program = detach("\"args\":[\"flood\",\"1\"]");
    awaitEnd(program);
    List<JsonNode> events = output(program, "?offset=10");
    assertThat(events.get(1).path("event").asString()).isEqualTo("lost");
    long told = events.stream().mapToLong(it -> it.path("data").asString("").length()).sum();
    assertThat(told + events.get(1).path("bytes").asLong() + 10).isEqualTo(1 << 20);
    assertThat(told).isEqualTo(256 << 10);
  }

  @Test
  void inputMayComeInParts() throws IOException {
    JsonNode program = detach("\"args\":[\"cat\"],\"stdin\":true");
    assertThat(api.post(path(program) + "/stdin?eof=false", "ab").status()).isEqualTo(204);
    assertThat(api.post(path(program) + "/stdin", "cd").status()).isEqualTo(204);
    assertThat(output(program, "?follow=true").get(1).path("data").asString()).isEqualTo("abcd");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"args\":[\"ls\"],\"detach\":1}",
        "{\"args\":[\"ls\"],\"detach\":true,\"stream\":true}",
        "{\"args\":[\"ls\"],\"detach\":true,\"stdin\":\"x\"}"
      })
  void badRequestsAreRefused(String json) throws IOException {
    assertThat(api.post(sandbox + "/exec", json).status()).isEqualTo(400);
    assertThat(api.get(sandbox + "/programs").json()).isEmpty();
  }

  @Test
  void unknownOnesAreNotFound() throws IOException {
    for (String path : List.of("/programs/p-9999", "/programs/p-9999/output", "/programs/..%2f")) {
      assertThat(api.get(sandbox + path).status()).as(path).isEqualTo(404);
    }
    assertThat(api.get(sandbox + "/programs/p-0/output?offset=-1").status()).isIn(400, 404);
    assertThat(api.get("/v1/sandboxes/sb-0-0/programs").status()).isEqualTo(404);
  }
}
