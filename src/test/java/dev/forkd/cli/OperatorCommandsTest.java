package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.client.StubServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What an operator looks with, and waits with. */
@Timeout(30)
final class OperatorCommandsTest {
  private static final String SMALL =
      "{\"id\":\"sb-1-0001\",\"name\":\"job\",\"snapshot_tag\":\"np\",\"runtime\":\"ready\","
          + "\"memory_bytes\":1048576,\"memory_limit_mib\":64,\"expires_in_ms\":90000,"
          + "\"created_at_unix\":1}";
  private static final String LARGE =
      "{\"id\":\"sb-1-0002\",\"name\":null,\"snapshot_tag\":\"np\",\"runtime\":\"ready\","
          + "\"memory_bytes\":5242880,\"memory_limit_mib\":null,\"expires_in_ms\":null,"
          + "\"created_at_unix\":1}";
  private final Captured captured = new Captured();
  private final List<String> seen = new ArrayList<>();

  private int run(StubServer.Script script, String... args) throws IOException {
    StubServer.Script noting =
        (call, out) -> {
          seen.add(call.line() + " " + call.body());
          script.answer(call, out);
        };
    try (StubServer server = new StubServer(noting)) {
      return captured.at(server.endpoint).run(args);
    }
  }

  private static StubServer.Script answer(int status, String json) {
    return (call, out) -> StubServer.json(out, status, json);
  }

  @Test
  void topShowsTheLargestFirst() throws IOException {
    assertThat(run(answer(200, "[" + SMALL + "," + LARGE + "]"), "top", "-n", "1")).isZero();
    assertThat(captured.out().lines().toList())
        .satisfiesExactly(
            line -> assertThat(line).isEqualTo("2 sandboxes, 6.0 MiB counted"),
            line -> assertThat(line).startsWith("ID  ").contains("MEMORY", "LIMIT"),
            line -> assertThat(line).startsWith("sb-1-0002  -  ").contains("5.0 MiB"),
            line -> assertThat(line).isEqualTo("(1 more)"));
  }

  @Test
  void waitTellsHowItEnded() throws IOException {
    String ended = "{\"id\":\"sb-1-0001\",\"ended\":\"killed: out of memory\"}";
    assertThat(run(answer(200, ended), "wait", "sb-1-0001", "--ended", "--timeout", "5")).isZero();
    assertThat(captured.out()).isEqualTo("killed: out of memory\n");
    assertThat(seen)
        .containsExactly(
            "POST /v1/sandboxes/sb-1-0001/wait {\"state\":\"ended\",\"timeout_secs\":5.0}");
  }

  @Test
  void waitThatIsInVainIsATimeout() throws IOException {
    String late = "{\"error\":\"sandbox x has not ended\",\"kind\":\"timeout\"}";
    assertThat(run(answer(504, late), "wait", "x")).isEqualTo(8);
    assertThat(seen.getFirst()).contains("\"state\":\"ready\"");
  }

  private static String event(int number) {
    return "{\"at_unix_ms\":%d,\"kind\":\"sandbox.ended\",\"subject\":\"sb-%d\",\"message\":\"m\"}"
        .formatted(number * 1000, number);
  }

  @Test
  void eventsAreToldOldestFirst() throws IOException {
    String newestFirst = "[" + event(2) + "," + event(1) + "]";
    assertThat(run(answer(200, newestFirst), "events", "-n", "2")).isZero();
    assertThat(seen).containsExactly("GET /v1/events?limit=2 ");
    assertThat(captured.out().lines())
        .containsExactly(
            "1970-01-01T00:00:01Z  sandbox.ended       sb-1  m",
            "1970-01-01T00:00:02Z  sandbox.ended       sb-2  m");
  }

  @Test
  void eventsAreFollowedUntilTheDaemonEnds() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          if (call.line().endsWith("limit=1")) {
            StubServer.json(out, 200, "[" + event(1) + "]");
            return;
          }
          assertThat(call.headers()).containsEntry("accept", "text/event-stream");
          StubServer.stream(out);
          StubServer.event(out, ": forkd events after 1\n");
          StubServer.event(out, "id: 2\nevent: sandbox.ended\ndata: " + event(2) + "\n");
          StubServer.event(out, "event: gap\ndata: {\"missed\":7}\n");
          StubServer.end(out);
        };
    assertThat(run(script, "events", "-f", "-n", "1")).isEqualTo(69);
    assertThat(captured.out().lines())
        .satisfiesExactly(
            line -> assertThat(line).contains("sb-1"),
            line -> assertThat(line).contains("sb-2"),
            line -> assertThat(line).isEqualTo("(7 events were forgotten)"));
    assertThat(captured.err()).contains("ended the stream of events");
  }

  @Test
  void attachSendsWholeStatements() throws IOException {
    AtomicInteger questions = new AtomicInteger();
    String failed = "{\"result\":null,\"error\":\"E\",\"exit_code\":1,\"traceback\":\"Trace\\n\"}";
    StubServer.Script script =
        (call, out) -> {
          boolean question = call.body().contains("compile_command");
          String result = question ? questions.getAndIncrement() < 2 ? "True" : "False" : "7";
          boolean fails = !question && call.body().contains("boom");
          StubServer.json(
              out, 200, fails ? failed : "{\"result\":\"" + result + "\",\"exit_code\":0}");
        };
    captured.input("def f():\n  return 7\n\n\nboom\n");
    assertThat(run(script, "attach", "sb-1-0001")).isZero();
    assertThat(captured.out()).isEqualTo("7\n");
    assertThat(captured.err()).isEqualTo("Trace\n");
    assertThat(seen.stream().filter(line -> !line.contains("compile_command")))
        .anySatisfy(line -> assertThat(line).contains("\"code\":\"def f():\\n  return 7\\n\\n\""))
        .hasSize(3); // a ping, the function, and what failed
  }

  @Test
  void lsFilters() throws IOException {
    assertThat(run(answer(200, "[]"), "ls", "-l", "team=a b", "--tag", "np", "--name", "job", "-a"))
        .isZero();
    assertThat(seen)
        .containsExactly("GET /v1/sandboxes?all=true&tag=np&name=job&label=team%3Da%20b ");
  }

  @Test
  void cleanupTellsWhatWasRemoved() {
    Assumptions.assumeTrue(Directories.isRoot(), "only root may clean up");
    assertThat(captured.run("cleanup")).isZero();
    assertThat(captured.out()).startsWith("  ✓ directory of ");
  }
}
