package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Help texts are part of the interface: each is compared with a file. {@code -Dforkd.golden=write}
 * writes the files anew; then read what changed.
 */
final class HelpTest {
  private static final Path GOLDEN = Path.of("src/test/resources/help");

  private final Captured captured = new Captured();

  @ParameterizedTest
  @ValueSource(
      strings = {
        "bench",
        "call",
        "cp",
        "doctor",
        "eval",
        "attach",
        "programs",
        "cleanup",
        "events",
        "logs",
        "exec",
        "fork",
        "images",
        "kill",
        "ls",
        "ping",
        "quickstart",
        "recipe",
        "rmi",
        "serve",
        "snapshot",
        "snapshot-compact",
        "snapshot-diff",
        "snapshot-info",
        "stop",
        "top",
        "wait",
        "version",
        "workspace"
      })
  void commandExplainsItself(String verb) throws IOException {
    assertThat(captured.run(verb, "--help")).isZero();
    assertThat(captured.out()).startsWith("Usage: forkd " + verb).contains("--help");
    if (!verb.equals("recipe")) {
      assertThat(captured.out()).contains("Example:");
    }
    compare(verb);
  }

  @Test
  void forkdExplainsItself() throws IOException {
    assertThat(captured.run("--help")).isZero();
    assertThat(captured.out()).contains("quickstart").contains("FORKD_URL");
    compare("forkd");
  }

  private void compare(String name) throws IOException {
    assertThat(captured.err()).isEmpty();
    assertThat(captured.out().lines()).allSatisfy(line -> assertThat(line.length()).isLessThan(90));
    Path file = GOLDEN.resolve(name + ".txt");
    if (System.getProperty("forkd.golden", "").equals("write")) {
      Files.createDirectories(GOLDEN);
      Files.writeString(file, captured.out(), StandardCharsets.UTF_8);
    }
    assertThat(captured.out()).isEqualTo(Files.readString(file, StandardCharsets.UTF_8));
  }
}
