package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.client.StubServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Exec and call: to their caller they are the program. */
@Timeout(30)
final class ProgramCommandTest {
  private final Captured captured = new Captured();

  private int run(StubServer.Script script, String... args) throws IOException {
    try (StubServer server = new StubServer(script)) {
      return captured.at(server.endpoint).run(args);
    }
  }

  private static StubServer.Script answer(int status, String json) {
    return (call, out) -> StubServer.json(out, status, json);
  }

  private static StubServer.Script program(List<String> seen, String... events) {
    return (call, out) -> {
      if (call.line().endsWith("/stdin")) {
        seen.addAll(call.chunks());
        StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
        return;
      }
      seen.add(call.line() + " " + call.body());
      StubServer.stream(out);
      StubServer.event(out, "{\"event\":\"started\",\"program\":\"p\",\"pid\":3,\"warm\":false}");
      for (String event : events) {
        StubServer.event(out, event);
      }
      StubServer.end(out);
    };
  }

  private static final String EXIT_7 =
      "{\"event\":\"exit\",\"exit_code\":7,\"timed_out\":false,\"duration_ms\":1}";

  @Test
  void execPassesEverythingThrough() throws IOException {
    List<String> seen = new ArrayList<>();
    StubServer.Script script =
        program(
            seen,
            "{\"event\":\"stdout\",\"data\":\"out\\n\"}",
            "{\"event\":\"stderr\",\"data\":\"err\\n\"}",
            EXIT_7);
    int code =
        run(script, "exec", "sb-1-0000", "-e", "A=b=c", "-w", "/srv", "--cold", "--", "ls", "-la");
    assertThat(code).isEqualTo(7);
    assertThat(captured.out()).isEqualTo("out\n");
    assertThat(captured.err()).isEqualTo("err\n");
    assertThat(seen)
        .containsExactly(
            "POST /v1/sandboxes/sb-1-0000/exec {\"args\":[\"ls\",\"-la\"],\"warm\":false,"
                + "\"stdin\":false,\"env\":{\"A\":\"b=c\"},\"cwd\":\"/srv\","
                + "\"timeout_secs\":3600.0,\"stream\":true}");
  }

  @Test
  void execSendsItsInput() throws Exception {
    CountDownLatch came = new CountDownLatch(1);
    List<String> seen = new ArrayList<>();
    StubServer.Script base = program(seen);
    StubServer.Script script =
        (call, out) -> {
          if (call.line().endsWith("/stdin")) {
            base.answer(call, out);
            came.countDown();
            return;
          }
          StubServer.stream(out);
          StubServer.event(
              out, "{\"event\":\"started\",\"program\":\"p\",\"pid\":3,\"warm\":true}");
          out.flush();
          try {
            came.await();
          } catch (InterruptedException e) {
            throw new IOException(e);
          }
          StubServer.event(out, EXIT_7);
          StubServer.end(out);
        };
    captured.input("hello");
    assertThat(run(script, "exec", "sb-1-0000", "cat")).isEqualTo(7);
    assertThat(seen).containsExactly("hello");
  }

  @Test
  void signalOfTheProgramIsAShellsExitCode() throws IOException {
    String exit =
        "{\"event\":\"exit\",\"exit_code\":-9,\"signal\":9,\"timed_out\":true,\"duration_ms\":1}";
    assertThat(run(program(new ArrayList<>(), exit), "exec", "sb-1-0000", "--timeout", "2", "x"))
        .isEqualTo(137);
    assertThat(captured.err()).contains("ended after 2 s").contains("--timeout");
  }

  @Test
  void troubleOfExecItselfIs125() throws IOException {
    String missing = "{\"error\":\"sandbox sb-1-0000 not found\",\"kind\":\"not_found\"}";
    assertThat(run(answer(404, missing), "exec", "sb-1-0000", "ls")).isEqualTo(125);
    assertThat(captured.err()).isEqualTo("forkd: sandbox sb-1-0000 not found (HTTP 404)\n");
    assertThat(captured.run("exec", "sb-1-0000", "-la", "ls")).isEqualTo(125);
    assertThat(captured.err()).contains("Put -- between");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "exec ID ls -la | [\"ls\",\"-la\"]",
        "exec ID -- ls -la | [\"ls\",\"-la\"]",
        "exec ID ls -- -w | [\"ls\",\"--\",\"-w\"]",
        "exec --cold ID curl --url x --help | [\"curl\",\"--url\",\"x\",\"--help\"]",
        "exec ID -w /srv --no-stdin tar -w /x | [\"tar\",\"-w\",\"/x\"]",
        "exec ID -- -odd | [\"-odd\"]",
      })
  void whatFollowsTheCommandIsItsOwn(String line, String args) throws IOException {
    List<String> seen = new ArrayList<>();
    assertThat(run(program(seen, EXIT_7), line.split(" "))).isEqualTo(7);
    assertThat(seen.getFirst()).startsWith("POST /v1/sandboxes/ID/exec {\"args\":" + args);
    if (line.contains("/srv")) {
      assertThat(seen.getFirst()).contains("\"cwd\":\"/srv\"");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "call ID -m pytest -- -q a.py | {\"module\":\"pytest\",\"args\":[\"-q\",\"a.py\"]",
        "call ID -m pytest -q -c a.ini | {\"module\":\"pytest\",\"args\":[\"-q\",\"-c\",\"a.ini\"]",
        "call -m pytest ID a.py -q | {\"module\":\"pytest\",\"args\":[\"a.py\",\"-q\"]",
        "call ID -m pytest -w /srv -- -q | {\"module\":\"pytest\",\"args\":[\"-q\"]",
        "call ID run.py -m -w | {\"file\":\"run.py\",\"args\":[\"-m\",\"-w\"]",
        "call ID -c pass x | {\"code\":\"pass\",\"args\":[\"x\"]",
        "call ID run.py x | {\"file\":\"run.py\",\"args\":[\"x\"]",
      })
  void callSaysWhatToRun(String line, String body) throws IOException {
    List<String> seen = new ArrayList<>();
    assertThat(run(program(seen, EXIT_7), line.split(" "))).isEqualTo(7);
    assertThat(seen.getFirst()).startsWith("POST /v1/sandboxes/ID/call " + body);
  }

  @Test
  void callNeedsExactlyOneThingToRun() throws IOException {
    assertThat(run(program(new ArrayList<>()), "call", "ID")).isEqualTo(125);
    assertThat(run(program(new ArrayList<>()), "call", "ID", "-m", "a", "-c", "b")).isEqualTo(125);
  }
}
