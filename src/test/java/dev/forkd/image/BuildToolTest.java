package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class BuildToolTest {
  private static final Duration LONG = Duration.ofSeconds(30);

  private final List<String> lines = new ArrayList<>();

  private BuildTool.Ended shell(String script) {
    return BuildTool.run(List.of("sh", "-c", script), LONG, lines::add);
  }

  @Test
  void bothOutputsArePassedOnLineByLine() {
    BuildTool.Ended ended = shell("echo one; echo two >&2; printf 'half'; exit 3");
    assertThat(ended.exitCode()).isEqualTo(3);
    assertThat(lines).containsExactly("one", "two", "half");
  }

  @Test
  void theTailIsTheLastFortyLines() {
    assertThat(shell("seq 1 100").tail().lines()).hasSize(40).startsWith("61").endsWith("100");
    assertThat(lines).hasSize(100);
  }

  @Test
  void aLineWithoutEndIsCut() {
    shell("head -c 100000 /dev/zero | tr '\\0' x");
    assertThat(lines).singleElement().satisfies(line -> assertThat(line).hasSize(4096));
  }

  @Test
  void whatDoesNotEndIsKilledWithItsChildren() {
    List<String> endless = List.of("sh", "-c", "echo $$; sleep 1000 & wait");
    assertThatThrownBy(() -> BuildTool.run(endless, Duration.ofMillis(500), lines::add))
        .isInstanceOfSatisfying(
            ForkdException.class, late -> assertThat(late.kind()).isEqualTo(FailureKind.TIMEOUT));
    long pid = Long.parseLong(lines.getFirst());
    assertThat(ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false)).isFalse();
  }

  @Test
  void aProgramThatIsNotThereIsAFailure() {
    assertThatThrownBy(() -> BuildTool.run(List.of("no-such-tool-of-forkd"), LONG, lines::add))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("no-such-tool-of-forkd");
    assertThat(BuildTool.isInstalled("sh")).isTrue();
    assertThat(BuildTool.isInstalled("no-such-tool-of-forkd")).isFalse();
  }
}
