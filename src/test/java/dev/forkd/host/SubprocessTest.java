package dev.forkd.host;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class SubprocessTest {
  private static final Duration GRACE = Duration.ofMillis(200);
  private static final Duration SOON = Duration.ofSeconds(10);

  @Test
  void itTalksOnThreePipesInExactlyTheGivenEnvironment() throws IOException {
    String script = "echo to-stderr >&2; echo \"[$A$HOME]\"; cat";
    try (Subprocess peer =
        Subprocess.start(List.of("/bin/sh", "-c", script), Map.of("A", "1"), SOON)) {
      peer.stdin().write("hello".getBytes(UTF_8));
      peer.stdin().close();
      assertThat(new String(peer.stdout().readAllBytes(), UTF_8)).isEqualTo("[1]\nhello");
      assertThat(peer.end(SOON)).contains("ended with exit code 0");
      assertThat(peer.stderrTail()).isEqualTo("to-stderr\n");
    }
  }

  @Test
  void closingStdinIsEnoughForThePolite() {
    Subprocess cat = Subprocess.start(List.of("/bin/cat"), Map.of(), SOON);
    assertThat(cat.end(Duration.ofMillis(20))).isEmpty();
    cat.close();
    assertThat(cat.end(SOON)).contains("ended with exit code 0");
  }

  @Test
  void whoIgnoresTheEndOfStdinGetsSigterm() {
    Subprocess deaf = Subprocess.start(List.of("/bin/sleep", "1010"), Map.of(), GRACE);
    deaf.close();
    assertThat(deaf.end(SOON)).contains("was killed by SIGTERM");
  }

  @Test
  void whoIgnoresSigtermIsKilled() throws IOException {
    String script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    Subprocess deaf = Subprocess.start(List.of("/bin/sh", "-c", script), Map.of(), GRACE);
    assertThat(deaf.stdout().read()).isEqualTo('u');
    deaf.close();
    assertThat(deaf.end(SOON)).contains("was killed by SIGKILL");
  }

  @Test
  void onlyTheEndOfStderrIsKept() {
    String script = "seq 1 100000 >&2";
    try (Subprocess loud = Subprocess.start(List.of("/bin/sh", "-c", script), Map.of(), SOON)) {
      assertThat(loud.end(SOON)).contains("ended with exit code 0");
      assertThat(loud.stderrTail()).hasSize(16_384).endsWith("99999\n100000\n");
    }
  }

  @Test
  void whatCannotBeStartedIsUnsupported() {
    assertThatThrownBy(() -> Subprocess.start(List.of("/no/such/program"), Map.of(), GRACE))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.UNSUPPORTED))
        .hasMessageContaining("/no/such/program");
  }
}
