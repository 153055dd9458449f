package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.client.StubServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the verbs around branches and workspaces send, and the lines that scripts read. */
@Timeout(30)
final class BranchCommandsTest {
  private static final String SNAPSHOT =
      "{\"tag\":\"ck\",\"dir\":\"/s/ck\",\"created_at_unix\":1750000000,\"branched_from\":\"sb-1\","
          + "\"pause_ms\":23,\"diff_physical_bytes\":4096,\"parent_tag\":\"np\","
          + "\"status\":\"ready\",\"bootable\":true,\"chain_depth\":1,"
          + "\"ancestors\":[\"np\",\"mid\"],\"dependents\":[]}";
  private static final String WORKSPACE =
      "{\"id\":\"ws-sb-1\",\"name\":\"w\",\"source_snapshot_tag\":\"np\",\"status\":\"running\","
          + "\"live_sandbox_id\":\"sb-1\",\"created_at_unix\":1,\"last_active_unix\":1}";

  private final Captured captured = new Captured();
  private final List<String> calls = new ArrayList<>();

  private int run(String... args) throws IOException {
    StubServer.Script script =
        (call, out) -> {
          calls.add(call.line() + " " + call.body());
          switch (call.line().split("[ /]", -1)[0]) {
            case "DELETE" -> StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
            default -> StubServer.json(out, 200, reply(call.line()));
          }
        };
    try (StubServer server = new StubServer(script)) {
      return captured.at(server.endpoint).run(args);
    }
  }

  private static String reply(String line) {
    if (line.equals("POST /v1/sandboxes")) {
      return "[{\"id\":\"sb-1\"}]";
    }
    if (line.endsWith("/exec")) {
      return "{\"stdout\":\"done\\n\",\"stderr\":\"\",\"exit_code\":0,\"timed_out\":false}";
    }
    if (line.equals("GET /v1/workspaces")) {
      return "[" + WORKSPACE + "]";
    }
    return line.contains("/workspaces") ? WORKSPACE : SNAPSHOT;
  }

  @Test
  void aBranchIsToldInLines() throws IOException {
    assertThat(run("snapshot", "--from-sandbox", "sb-1", "--tag", "ck")).isZero();
    assertThat(calls)
        .containsExactly("POST /v1/sandboxes/sb-1/branch {\"mode\":\"full\",\"tag\":\"ck\"}");
    assertThat(captured.out().lines())
        .containsExactly(
            "tag:           ck",
            "dir:           /s/ck",
            "branched_from: sb-1",
            "pause_ms:      23",
            "status:        ready");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--diff           | {\"mode\":\"diff\"}",
        "--live           | {\"mode\":\"live\"}",
        "--live --no-wait | {\"mode\":\"live\",\"wait\":false}",
      })
  void modesAreSent(String options, String body) throws IOException {
    List<String> args = new ArrayList<>(List.of("snapshot", "--from-sandbox", "sb-1"));
    args.addAll(List.of(options.split(" ")));
    assertThat(run(args.toArray(String[]::new))).isZero();
    assertThat(calls).containsExactly("POST /v1/sandboxes/sb-1/branch " + body);
  }

  @ParameterizedTest
  @CsvSource({
    "snapshot",
    "snapshot np --from-sandbox sb-1",
    "snapshot np --diff",
    "snapshot --from-sandbox sb-1 --diff --live",
    "snapshot --from-sandbox sb-1 --no-wait",
    "snapshot --from-sandbox sb-1 --replace",
    "snapshot --from-sandbox sb-1 --tag a.b",
    "snapshot-compact --from a",
    "snapshot-diff --from a --tag b --exec \"x",
    "workspace",
    "workspace create",
    "workspace create w",
    "workspace melt w",
    "workspace suspend",
    "workspace suspend ../w",
  })
  void wrongUsageSendsNothing(String line) throws IOException {
    assertThat(run(line.split(" "))).isEqualTo(2);
    assertThat(calls).isEmpty();
  }

  @Test
  void infoIsToldInLines() throws IOException {
    assertThat(run("snapshot-info", "ck")).isZero();
    assertThat(captured.out())
        .contains("created:               2025-06-15T15:06:40Z\n")
        .contains("ancestors:             np mid\n")
        .contains("dependents:            -\n");
    captured.out.reset();
    run("snapshot-info", "ck", "--json");
    assertThat(captured.out()).isEqualTo(SNAPSHOT + "\n");
  }

  @Test
  void compactNamesBoth() throws IOException {
    assertThat(run("snapshot-compact", "--from", "ck", "--to", "flat")).isZero();
    assertThat(calls).containsExactly("POST /v1/snapshots/ck/compact {\"to\":\"flat\"}");
  }

  @Test
  void aDiffIsMadeInASandboxThatIsDestroyed() throws IOException {
    assertThat(run("snapshot-diff", "--from", "np", "--tag", "ck", "--exec", "sh -c 'a \"b'"))
        .isZero();
    assertThat(calls)
        .containsExactly(
            "POST /v1/sandboxes {\"snapshot_tag\":\"np\",\"n\":1}",
            "POST /v1/sandboxes/sb-1/exec"
                + " {\"args\":[\"sh\",\"-c\",\"a \\\"b\"],\"timeout_secs\":600.0}",
            "POST /v1/sandboxes/sb-1/branch"
                + " {\"tag\":\"ck\",\"mode\":\"diff\",\"parent_tag\":\"np\"}",
            "DELETE /v1/sandboxes/sb-1 ");
    assertThat(captured.out().lines())
        .containsExactly(
            "tag:                 ck",
            "dir:                 /s/ck",
            "parent_tag:          np",
            "pause_ms:            23",
            "diff_physical_bytes: 4096");
    assertThat(captured.err()).isEqualTo("done\n");
  }

  @Test
  void workspacesAreDriven() throws IOException {
    run("workspace", "create", "w", "--snapshot", "np", "--memory-limit-mib", "64");
    run("workspace", "suspend", "w", "--diff");
    run("workspace", "resume", "w");
    run("workspace", "delete", "w");
    assertThat(calls)
        .containsExactly(
            "POST /v1/workspaces {\"name\":\"w\",\"snapshot_tag\":\"np\",\"per_child_netns\":false,"
                + "\"memory_limit_mib\":64}",
            "POST /v1/workspaces/w/suspend {\"diff\":true}",
            "POST /v1/workspaces/w/resume {\"fresh\":false}",
            "DELETE /v1/workspaces/w ");
    captured.out.reset();
    run("workspace", "list");
    assertThat(captured.out().lines().toList())
        .satisfiesExactly(
            line -> assertThat(line).matches("NAME +STATUS +SNAPSHOT +SANDBOX +STATE +IDLE"),
            line -> assertThat(line).matches("w +running +np +sb-1 +- +[0-9]+d"));
  }

  @Test
  void wordsAreGroupedByQuotes() {
    assertThat(Words.split(" a  'b c' \"d 'e\" f\\ g '' 'h'i\\\"j "))
        .containsExactly("a", "b c", "d 'e", "f g", "", "hi\"j");
    assertThat(Words.split("  ")).isEmpty();
  }
}
