package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.TerminalSize;
import dev.forkd.service.FakeProgram;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class ProgramsResourceTest {
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

  private ApiFixture.Answer exec(String json) throws IOException {
    return api.post("/v1/sandboxes/" + id + "/exec", json);
  }

  private ProgramSpec lastSpec() {
    return api.guest(id).specs().getLast();
  }

  private FakeProgram lastProgram() {
    return api.guest(id).programs().getLast();
  }

  @Test
  void execAnswersWithEveryField() throws IOException {
    assertThat(exec("{\"args\":[\"echo\",\"hi\"]}").text())
        .isEqualTo(
            "{\"stdout\":\"hi\\n\",\"stderr\":\"\",\"exit_code\":0,\"timed_out\":false,"
                + "\"out_of_memory\":false,\"truncated\":false,\"duration_ms\":12.0,"
                + "\"warm\":false,\"error\":null}");
    assertThat(lastSpec())
        .isEqualTo(
            ProgramSpec.of(
                new ProgramSpec.Program.Exec(List.of("echo", "hi")), Duration.ofSeconds(30)));
  }

  @Test
  void everyFieldReachesTheProgram() throws IOException {
    exec(
        "{\"args\":[\"cat\"],\"timeout_secs\":1.5,\"env\":{\"A\":\"1\",\"B\":\"\"},"
            + "\"cwd\":\"/tmp\",\"user\":\"nobody\",\"stdin\":\"é\",\"warm\":false,\"x\":1}");
    assertThat(lastSpec())
        .isEqualTo(
            new ProgramSpec(
                new ProgramSpec.Program.Exec(List.of("cat")),
                Map.of("A", "1", "B", "", "FORKD_COLD", "1"),
                "/tmp",
                "nobody",
                true,
                Duration.ofMillis(1500)));
  }

  @Test
  void inputIsTextOrBase64() throws IOException {
    assertThat(exec("{\"args\":[\"cat\"],\"stdin\":\"é\\n\"}").json().path("stdout").asString())
        .isEqualTo("é\n");
    assertThat(exec("{\"args\":[\"cat\"],\"stdin_b64\":\"aGkK\"}").json().path("stdout").asString())
        .isEqualTo("hi\n");
    assertThat(exec("{\"args\":[\"cat\"],\"stdin\":false}").json().path("stdout").asString())
        .isEmpty();
  }

  @Test
  void troubleOfTheProgramIsAnAnswer() throws IOException {
    assertThat(exec("{\"args\":[\"exit\",\"3\"]}").json().path("exit_code").asInt()).isEqualTo(3);
    JsonNode late = exec("{\"args\":[\"late\"],\"timeout_secs\":2}").json();
    assertThat(late.path("timed_out").asBoolean()).isTrue();
    assertThat(late.path("exit_code").asInt()).isEqualTo(-15);
    assertThat(late.path("error").asString())
        .isEqualTo("timed out after 2 s; the process group was ended");
    JsonNode missing = exec("{\"args\":[\"missing\"]}").json();
    assertThat(missing.path("exit_code").asInt()).isEqualTo(127);
    assertThat(missing.path("error").asString()).contains("no such command");
    assertThat(exec("{\"args\":[\"denied\"]}").json().path("exit_code").asInt()).isEqualTo(126);
    assertThat(exec("{\"args\":[\"broken\"]}").status()).isEqualTo(500);
  }

  @Test
  void pythonRunsWarm() throws IOException {
    JsonNode warm = exec("{\"args\":[\"python3\",\"-m\",\"pytest\"],\"warm\":\"auto\"}").json();
    assertThat(warm.path("warm").asBoolean()).isTrue();
    assertThat(warm.path("stdout").asString()).isEqualTo("module pytest []\n");
    assertThat(
            exec("{\"args\":[\"python3\",\"-m\",\"pytest\"],\"warm\":false}")
                .json()
                .path("warm")
                .asBoolean())
        .isFalse();
    ApiFixture.Answer refused = exec("{\"args\":[\"ls\"],\"warm\":true}");
    assertThat(refused.status()).isEqualTo(400);
    assertThat(refused.text()).contains("cannot run warm");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{}                                        | args must contain at least one element",
        "{\"args\":[]}                             | args must contain at least one element",
        "{\"args\":\"ls\"}                         | array of strings",
        "{\"args\":[1]}                            | field `args` must be a string",
        "{\"args\":[\"a\\u0000b\"]}                | NUL",
        "{\"args\":[\"ls\"],\"timeout_secs\":0}    | 1 to 86400",
        "{\"args\":[\"ls\"],\"timeout_secs\":86401} | 1 to 86400",
        "{\"args\":[\"ls\"],\"timeout_secs\":1e300} | 1 to 86400",
        "{\"args\":[\"ls\"],\"timeout_secs\":\"9\"} | must be a number",
        "{\"args\":[\"ls\"],\"env\":[]}            | object of strings",
        "{\"args\":[\"ls\"],\"env\":{\"A\":1}}     | must be a string",
        "{\"args\":[\"ls\"],\"env\":{\"A=B\":\"\"}} | field `env`",
        "{\"args\":[\"ls\"],\"env\":{\"\":\"\"}}   | field `env`",
        "{\"args\":[\"ls\"],\"cwd\":\"tmp\"}       | absolute",
        "{\"args\":[\"ls\"],\"user\":7}            | must be a string",
        "{\"args\":[\"ls\"],\"warm\":\"yes\"}      | field `warm`",
        "{\"args\":[\"ls\"],\"warm\":1}            | field `warm`",
        "{\"args\":[\"ls\"],\"stream\":1}          | true or false",
        "{\"args\":[\"ls\"],\"stdin\":true}        | field `stdin`",
        "{\"args\":[\"ls\"],\"stdin_b64\":\"?\"}   | not base64",
        "{\"args\":[\"ls\"],\"stdin\":\"\",\"stdin_b64\":\"\"} | one of",
        "{\"args\":[\"ls\"],\"stream\":true,\"stdin\":\"x\"} | true or false",
        "{\"args\":[\"ls\"],\"stream\":true,\"stdin_b64\":\"\"} | true or false",
        "{\"args\":                                | not JSON",
      })
  void badExecsAreRefused(String json, String text) throws IOException {
    ApiFixture.Answer answer = exec(json);
    assertThat(answer.status()).as(answer.text()).isEqualTo(400);
    assertThat(answer.json().path("error").asString()).contains(text);
    assertThat(api.guest(id).specs()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{\"module\":\"pytest\",\"args\":[\"-q\"]} | module pytest [-q]",
        "{\"file\":\"a.py\",\"args\":[\"x\"]}      | file a.py [x]",
        "{\"code\":\"pass\"}                       | code pass []",
      })
  void calls(String json, String output) throws IOException {
    JsonNode done = api.post("/v1/sandboxes/" + id + "/call", json).json();
    assertThat(done.path("stdout").asString()).isEqualTo(output + "\n");
    assertThat(done.path("warm").asBoolean()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"{}", "{\"args\":[\"x\"]}", "{\"module\":\"a\",\"file\":\"b\"}", "{\"code\":7}"})
  void badCallsAreRefused(String json) throws IOException {
    assertThat(api.post("/v1/sandboxes/" + id + "/call", json).status()).isEqualTo(400);
  }

  private List<JsonNode> stream(String json) throws IOException {
    ApiFixture.Answer answer = exec(json);
    assertThat(answer.status()).as(answer.text()).isEqualTo(200);
    assertThat(answer.type()).isEqualTo("application/x-ndjson");
    return answer.text().lines().filter(line -> !line.isEmpty()).map(Json::parse).toList();
  }

  @Test
  void outputIsStreamed() throws IOException {
    List<JsonNode> events = stream("{\"args\":[\"echo\",\"hi\"],\"stream\":true}");
    assertThat(Json.text(events.get(0)))
        .matches("\\{\"event\":\"started\",\"program\":\"p-[0-9a-f]+\",\"pid\":42,\"warm\":false}");
    assertThat(Json.text(events.get(1))).isEqualTo("{\"event\":\"stdout\",\"data\":\"hi\\n\"}");
    assertThat(Json.text(events.get(2)))
        .isEqualTo(
            "{\"event\":\"exit\",\"exit_code\":0,\"signal\":null,\"timed_out\":false,"
                + "\"out_of_memory\":false,\"duration_ms\":12.0}");
    assertThat(events).hasSize(3);
    assertThat(lastProgram().closed()).isTrue();
  }

  @Test
  void charactersAreNotCutAndBytesAreNotLost() throws IOException {
    List<JsonNode> split = stream("{\"args\":[\"split\"],\"stream\":true}");
    assertThat(split.stream().map(event -> event.path("data").asString("")).toList())
        .containsExactly("", "a", "é", "€", "😀", "z", "");
    List<JsonNode> binary = stream("{\"args\":[\"binary\"],\"stream\":true}");
    assertThat(Json.text(binary.get(1))).isEqualTo("{\"event\":\"stdout\",\"data_b64\":\"/wD+\"}");
    List<JsonNode> errors = stream("{\"args\":[\"err\",\"x\"],\"stream\":true}");
    assertThat(Json.text(errors.get(1))).isEqualTo("{\"event\":\"stderr\",\"data\":\"x\"}");
  }

  @Test
  void aStreamOfManyMegabytes() throws IOException {
    long length =
        stream("{\"args\":[\"flood\",\"40\"],\"stream\":true}").stream()
            .mapToLong(event -> event.path("data").asString("").length())
            .sum();
    assertThat(length).isEqualTo(40L << 20);
  }

  @Test
  void whatCannotStartIsToldByTheStream() throws IOException {
    List<JsonNode> events = stream("{\"args\":[\"missing\"],\"stream\":true}");
    assertThat(events.get(1).path("data").asString()).contains("no such command");
    assertThat(events.get(2).path("exit_code").asInt()).isEqualTo(127);
    ApiFixture.Answer broken = exec("{\"args\":[\"broken\"],\"stream\":true}");
    assertThat(broken.status()).isEqualTo(500);
    assertThat(broken.json().path("kind").asString()).isEqualTo("engine");
  }

  private Http start(String args, String more) throws IOException {
    Http http = Http.tcp(api.server.port());
    String body = "{\"args\":[\"" + args + "\"],\"stream\":true" + more + "}";
    http.send(
        "POST",
        "/v1/sandboxes/" + id + "/exec",
        body.getBytes(StandardCharsets.UTF_8),
        ApiFixture.JSON);
    return http;
  }

  private String programPath(Http http) throws IOException {
    String name = Json.parse(http.chunk()).path("program").asString();
    return "/v1/sandboxes/" + id + "/programs/" + name;
  }

  @Test
  void inputIsPosted() throws IOException {
    try (Http http = start("cat", ",\"stdin\":true")) {
      String path = programPath(http);
      byte[] input = new byte[3 << 20];
      java.util.Arrays.fill(input, (byte) 'i');
      assertThat(api.call("POST", path + "/stdin", input).status()).isEqualTo(204);
      assertThat(Json.parse(http.chunk()).path("data").asString()).hasSize(input.length);
    }
  }

  @Test
  void inputMayComeInChunksOverTime() throws IOException {
    try (Http http = start("cat", ",\"stdin\":true");
        Http upload = Http.unix(api.socket())) {
      String path = programPath(http);
      upload.write(
          ("POST " + path + "/stdin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
              .getBytes(StandardCharsets.UTF_8));
      upload.write("3\r\none\r\n".getBytes(StandardCharsets.UTF_8));
      upload.write("4\r\n two\r\n0\r\n\r\n".getBytes(StandardCharsets.UTF_8));
      upload.readHead();
      assertThat(upload.status()).isEqualTo(204);
      assertThat(Json.parse(http.chunk()).path("data").asString()).isEqualTo("one two");
    }
  }

  @Test
  void signalsReachTheProgram() throws IOException {
    try (Http http = start("wait", "")) {
      String path = programPath(http);
      assertThat(api.post(path + "/signal", "{\"signal\":65}").status()).isEqualTo(400);
      assertThat(api.post(path + "/signal", "{}").status()).isEqualTo(400);
      assertThat(api.post(path + "/signal", "{\"signal\":15}").status()).isEqualTo(204);
      assertThat(http.text())
          .contains("\"event\":\"exit\",\"exit_code\":-15,\"signal\":15,\"timed_out\":false");
      await().until(() -> api.post(path + "/signal", "{\"signal\":9}").status() == 404);
      assertThat(api.call("POST", path + "/stdin", new byte[] {1}).status()).isEqualTo(404);
    }
  }

  @Test
  void whoHangsUpEndsTheProgram() throws IOException {
    start("wait", "").close();
    await().until(() -> lastProgram().closed());
    Http http = start("wait", "");
    assertThat(http.chunk()).contains("started");
    FakeProgram program = lastProgram();
    assertThat(program.closed()).isFalse();
    http.close();
    await().until(program::closed);
  }

  @Test
  void anEndedSandboxEndsTheStream() throws IOException {
    try (Http http = start("wait", "")) {
      assertThat(http.chunk()).contains("started");
      assertThat(api.delete("/v1/sandboxes/" + id).status()).isEqualTo(204);
      assertThat(http.text()).contains("\"event\":\"exit\"");
    }
  }

  @Test
  void aTerminalIsMadeAndResized() throws IOException {
    String id = api.sandbox();
    try (Http http = Http.unix(api.socket())) {
      http.send(
          "POST",
          "/v1/sandboxes/" + id + "/exec",
          "{\"args\":[\"wait\"],\"stream\":true,\"pty\":{\"rows\":30}}"
              .getBytes(StandardCharsets.UTF_8),
          ApiFixture.JSON);
      String program = Json.parse(http.chunk()).path("program").asString();
      var spec = api.guest(id).specs().getLast();
      assertThat(spec.terminal()).contains(new TerminalSize(30, 80));
      assertThat(spec.stdin()).isTrue();
      String resize = "/v1/sandboxes/" + id + "/programs/" + program + "/resize";
      assertThat(api.post(resize, "{\"rows\":5,\"columns\":6}").status()).isEqualTo(204);
      assertThat(api.post(resize, "{\"rows\":0}").status()).isEqualTo(400);
      assertThat(api.guest(id).programs().getLast().resized())
          .containsExactly(new TerminalSize(5, 6));
    }
    for (String body :
        List.of(
            "{\"args\":[\"wait\"],\"pty\":{}}",
            "{\"args\":[\"wait\"],\"stream\":true,\"pty\":true}",
            "{\"args\":[\"wait\"],\"stream\":true,\"pty\":{\"rows\":99999}}")) {
      assertThat(api.post("/v1/sandboxes/" + id + "/exec", body).status()).isEqualTo(400);
    }
  }

  @Test
  void aProgramThatIsAskedColdHasItsTerminal() throws IOException {
    String id = api.sandbox();
    try (Http http = Http.unix(api.socket())) {
      String body = "{\"args\":[\"wait\"],\"stream\":true,\"pty\":{\"rows\":30},\"warm\":false}";
      http.send(
          "POST",
          "/v1/sandboxes/" + id + "/exec",
          body.getBytes(StandardCharsets.UTF_8),
          ApiFixture.JSON);
      assertThat(http.chunk()).contains("started");
      var spec = api.guest(id).specs().getLast();
      assertThat(spec.terminal()).contains(new TerminalSize(30, 80));
      assertThat(spec.env()).containsEntry("FORKD_COLD", "1");
    }
  }
}
