package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.client.StubServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
final class CliTest {
  private static final String CHILD =
      "{\"id\":\"sb-1-0000\",\"snapshot_tag\":\"np\",\"netns\":null,"
          + "\"guest_addr\":\"10.42.0.2:8888\",\"created_at_unix\":1,\"pid\":77,"
          + "\"branch_count\":0,\"state\":\"running\",\"ready_ms\":3.5,\"ended\":null}";
  private static final String DEAD =
      CHILD
          .replace("0000", "0001")
          .replace("running", "ended")
          .replace("\"ended\":null", "\"ended\":\"out of memory\"");

  private final Captured captured = new Captured();

  private int run(StubServer.Script script, String... args) throws IOException {
    try (StubServer server = new StubServer(script)) {
      return captured.at(server.endpoint).run(args);
    }
  }

  private static StubServer.Script answer(int status, String json) {
    return (call, out) -> StubServer.json(out, status, json);
  }

  @Test
  void lsShowsLiveSandboxesAligned() throws IOException {
    assertThat(run(answer(200, "[" + CHILD + "]"), "ls")).isZero();
    assertThat(captured.out())
        .isEqualTo(
            """
            ID         SNAPSHOT  PID  NETNS  BRANCHES  GUEST_ADDR      STATE    READY
            sb-1-0000  np        77   -      0         10.42.0.2:8888  running  3.5 ms
            """);
  }

  @Test
  void lsAllTellsHowTheOthersEndedAndHidesControlCharacters() throws IOException {
    String hostile = DEAD.replace("out of memory", "\\u001b[2Jgone");
    StubServer.Script script =
        (call, out) -> {
          assertThat(call.line()).isEqualTo("GET /v1/sandboxes?all=true");
          StubServer.json(out, 200, "[" + hostile + "]");
        };
    assertThat(run(script, "ls", "--all")).isZero();
    assertThat(captured.out()).contains("sb-1-0001").contains("ended: ?[2Jgone");
  }

  @Test
  void lsOfNothing() throws IOException {
    run(answer(200, "[]"), "ls");
    run(answer(200, "[]"), "ls", "--all");
    assertThat(captured.out()).isEqualTo("no live sandboxes\nno sandboxes\n");
  }

  @Test
  void jsonIsTheBodyAsItCame() throws IOException {
    run(answer(200, "[" + CHILD + "]"), "ls", "--json");
    assertThat(captured.out()).isEqualTo("[" + CHILD + "]\n");
  }

  @Test
  void imagesShowsSnapshots() throws IOException {
    long twoHoursAgo = System.currentTimeMillis() / 1000 - 7300;
    String body =
        "[{\"tag\":\"np\",\"engine\":\"process\",\"status\":\"ready\",\"warm\":true,"
            + "\"sandboxes\":3,\"recipe\":\"python-numpy\",\"created_at_unix\":"
            + twoHoursAgo
            + "}]";
    run(answer(200, body), "images");
    assertThat(captured.out())
        .isEqualTo(
            """
            TAG  ENGINE   STATUS  WARM  SANDBOXES  RECIPE        AGE
            np   process  ready   yes   3          python-numpy  2h
            """);
  }

  @ParameterizedTest
  @CsvSource({"0,0s", "-5,0s", "59,59s", "60,1m", "3600,1h", "86400,1d", "200000,2d"})
  void agesAreInTheirLargestUnit(long seconds, String text) {
    assertThat(Images.age(seconds)).isEqualTo(text);
  }

  @Test
  void forkPrintsTheLinesThatScriptsRead() throws IOException {
    List<String> bodies = new ArrayList<>();
    StubServer.Script script =
        (call, out) -> {
          bodies.add(call.line() + " " + call.body());
          StubServer.json(out, 201, "[" + CHILD + "]");
        };
    assertThat(run(script, "fork", "np", "-n", "1", "--memory-limit-mib", "64")).isZero();
    assertThat(bodies)
        .containsExactly(
            "POST /v1/sandboxes {\"snapshot_tag\":\"np\",\"n\":1,\"memory_limit_mib\":64}");
    assertThat(captured.out().lines().toList())
        .satisfiesExactly(
            line -> assertThat(line).isEqualTo("✓ all sockets up in 3.5 ms"),
            line -> assertThat(line).isEqualTo("✓ 1 restores fired in parallel in 3.5 ms"),
            line -> assertThat(line).matches("✓ total wall-clock: [0-9.]+ ms"),
            line -> assertThat(line).isEqualTo("✓ 1 / 1 children alive"),
            line -> assertThat(line).isEqualTo("  ✓ sb-1-0000  guest=10.42.0.2:8888  netns=-"));
  }

  @Test
  void forkThatSettlesDestroysItsChildrenWhenToldTo() throws IOException {
    List<String> calls = new ArrayList<>();
    StubServer.Script script =
        (call, out) -> {
          calls.add(call.line());
          if (call.line().startsWith("POST")) {
            captured.signals.raise(Signals.SIGTERM); // while the fork is under way
            StubServer.json(out, 201, "[" + CHILD + "]");
          } else {
            StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
          }
        };
    assertThat(run(script, "fork", "--tag", "np", "--settle-secs", "3600")).isZero();
    assertThat(calls).containsExactly("POST /v1/sandboxes", "DELETE /v1/sandboxes/sb-1-0000");
  }

  @Test
  void killAndRmiTellEachOutcome() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          if (call.line().endsWith("bad")) {
            StubServer.json(
                out, 404, "{\"error\":\"sandbox bad not found\",\"kind\":\"not_found\"}");
          } else {
            StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
          }
        };
    assertThat(run(script, "kill", "sb-1-0000", "bad")).isEqualTo(4);
    assertThat(captured.out())
        .isEqualTo("  ✓ sb-1-0000\n  ✗ bad  (sandbox bad not found (HTTP 404))\n");
    captured.out.reset();
    StubServer.Script held = answer(409, "{\"error\":\"in use\",\"kind\":\"conflict\"}");
    assertThat(run(held, "rmi", "np")).isEqualTo(5);
    assertThat(captured.out()).isEqualTo("  ✗ np  (in use (HTTP 409))\n");
  }

  @Test
  void killByTagChoosesFromTheList() throws IOException {
    List<String> lines = new ArrayList<>();
    StubServer.Script script =
        (call, out) -> {
          lines.add(call.line());
          if (call.line().startsWith("GET")) {
            StubServer.json(
                out, 200, "[" + CHILD + "," + DEAD.replace("\"np\"", "\"other\"") + "]");
          } else {
            StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
          }
        };
    assertThat(run(script, "kill", "--tag", "np")).isZero();
    assertThat(lines).containsExactly("GET /v1/sandboxes", "DELETE /v1/sandboxes/sb-1-0000");
    assertThat(run(script, "kill", "--tag", "np", "--all")).isEqualTo(2);
    assertThat(run(script, "kill")).isEqualTo(2);
  }

  private static String evaluated(String fields) {
    return "{\"result\":null,\"error\":null,\"exit_code\":0,\"stdout\":\"\",\"stderr\":\"\","
        + "\"traceback\":null,\"truncated\":false,\"restarted\":false"
        + fields
        + "}";
  }

  @Test
  void evalPrintsOutputThenResult() throws IOException {
    String reply = evaluated("").replace("\"result\":null", "\"result\":\"42\"");
    reply = reply.replace("\"stdout\":\"\"", "\"stdout\":\"hi\\n\"");
    captured.input("6*7");
    List<String> bodies = new ArrayList<>();
    String body = reply;
    StubServer.Script script =
        (call, out) -> {
          bodies.add(call.body());
          StubServer.json(out, 200, body);
        };
    assertThat(run(script, "eval", "sb-1-0000", "-")).isZero();
    assertThat(captured.out()).isEqualTo("hi\n42\n");
    assertThat(bodies).containsExactly("{\"code\":\"6*7\",\"timeout_secs\":30.0}");
  }

  @Test
  void evalErrorIsATracebackOnStderr() throws IOException {
    String reply =
        evaluated("")
            .replace("\"exit_code\":0", "\"exit_code\":1")
            .replace("\"traceback\":null", "\"traceback\":\"Traceback\\nNameError: x\\n\"");
    assertThat(run(answer(200, reply), "eval", "sb-1-0000", "x")).isEqualTo(1);
    assertThat(captured.out()).isEmpty();
    assertThat(captured.err()).isEqualTo("Traceback\nNameError: x\n");
  }

  @Test
  void pingTellsWhoAnswered() throws IOException {
    String pong =
        "{\"pong\":true,\"numpy_version\":\"1.24.2\",\"runtime\":\"ready\",\"python\":\"3.11.2\"}";
    run(answer(200, pong), "ping", "sb-1-0000");
    assertThat(captured.out())
        .matches("pong from sb-1-0000 in [0-9.]+ ms: runtime ready, python 3.11.2, numpy 1.24.2\n");
  }

  @Test
  void snapshotSendsTheRecipeAndShowsProgress(@TempDir Path directory) throws IOException {
    Files.writeString(directory.resolve("recipe.yaml"), "name: np\n");
    List<String> bodies = new ArrayList<>();
    StubServer.Script script =
        (call, out) -> {
          bodies.add(call.body());
          StubServer.stream(out);
          StubServer.event(out, "{\"event\":\"progress\",\"phase\":\"warm\",\"message\":\"go\"}");
          StubServer.event(out, "{\"event\":\"log\",\"line\":\"import numpy 93 ms\"}");
          StubServer.event(out, "{\"event\":\"snapshot\",\"snapshot\":{\"tag\":\"np\"}}");
          StubServer.end(out);
        };
    captured.cwd = directory;
    assertThat(run(script, "snapshot", ".", "--replace", "--engine", "process")).isZero();
    assertThat(bodies)
        .containsExactly(
            "{\"recipe\":\"name: np\\n\",\"recipe_dir\":\""
                + directory
                + "\",\"replace\":true,\"engine\":\"process\"}");
    assertThat(captured.err())
        .isEqualTo(
            """
            warm: go
              import numpy 93 ms
            ✓ tag 'np' ready. Try: forkd fork --tag np --n 10
            """);
    assertThat(captured.out()).isEmpty();
    bodies.clear();
    assertThat(run(script, "snapshot", ".", "-l", "team=a", "-l", "kind=b", "--secrets")).isZero();
    assertThat(bodies.getFirst())
        .endsWith("\"secrets\":true,\"labels\":{\"team\":\"a\",\"kind\":\"b\"}}");
  }

  @Test
  void snapshotFailureShowsTheTraceback(@TempDir Path directory) throws IOException {
    Path file = Files.writeString(directory.resolve("r.yaml"), "name: np\n");
    StubServer.Script script =
        (call, out) -> {
          StubServer.stream(out);
          StubServer.event(
              out,
              "{\"event\":\"error\",\"error\":\"warm-up: import numpyy failed\","
                  + "\"kind\":\"engine\",\"detail\":\"Traceback…\"}");
          StubServer.end(out);
        };
    assertThat(run(script, "snapshot", file.toString())).isEqualTo(9);
    assertThat(captured.err()).isEqualTo("forkd: warm-up: import numpyy failed\nTraceback…\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"nowhere", "../../etc", "/etc"})
  void recipeThatIsNotThereIsNotFound(String name) throws IOException {
    assertThat(run(answer(200, "{}"), "snapshot", name)).isEqualTo(4);
    assertThat(captured.err()).startsWith("forkd: no recipe at ");
  }

  @Test
  void namedDaemonIsNotStarted() {
    captured.env.put("FORKD_URL", "unix:/nowhere/forkd.sock");
    assertThat(captured.run("ls")).isEqualTo(69);
    assertThat(captured.err()).contains("unix:/nowhere/forkd.sock").contains("forkd serve");
  }

  @Test
  void versionAnswersWithoutADaemon() {
    captured.env.put("FORKD_URL", "unix:/nowhere/forkd.sock");
    assertThat(captured.run("version")).isZero();
    assertThat(captured.out())
        .isEqualTo("forkd 9.9.9\nno daemon answers at unix:/nowhere/forkd.sock\n");
    captured.out.reset();
    assertThat(captured.run("--version")).isZero();
    assertThat(captured.out()).isEqualTo("forkd 9.9.9\n");
  }

  @Test
  void unknownCommandIsToldWithASuggestion() {
    assertThat(captured.run("forks")).isEqualTo(2);
    assertThat(captured.err())
        .startsWith("forkd: there is no command \"forks\"\n")
        .contains("Did you mean: forkd fork");
  }

  @ParameterizedTest
  @CsvSource({"lss", "ls --nope", "fork", "eval", "kill --tag", "''"})
  void wrongUsageIsTwo(String line) throws IOException {
    String[] args = line.isEmpty() ? new String[0] : line.split(" ");
    assertThat(run(answer(200, "[]"), args)).isEqualTo(2);
    assertThat(captured.err()).startsWith("forkd: ");
    assertThat(captured.out()).isEmpty();
  }

  @Test
  void recipeCheckTellsTheParsersComplaint(@TempDir Path directory) throws IOException {
    Path file = Files.writeString(directory.resolve("r.yaml"), "nonsense\n");
    assertThat(captured.run("recipe", "check", file.toString())).isEqualTo(2);
    assertThat(captured.err()).isEqualTo("forkd: not a recipe: nonsense\n");
  }

  @Test
  void brokenReplyIsTheDaemonsFault() throws IOException {
    assertThat(run(answer(200, "["), "ls")).isEqualTo(70);
    assertThat(captured.err()).startsWith("forkd: the daemon's reply is not JSON");
  }
}
