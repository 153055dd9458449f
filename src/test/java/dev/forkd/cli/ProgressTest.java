package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class ProgressTest {
  private final Captured captured = new Captured();

  @Test
  void withoutATerminalEachStepIsOneLine() {
    try (Progress progress = new Progress(captured.console())) {
      progress.phase("image: building", 0, 0);
      progress.phase("image: building", 1, 2);
      progress.log("a\033[2Jb");
      progress.phase("warm: go", 0, 0);
    }
    assertThat(captured.err()).isEqualTo("image: building\na?[2Jb\nwarm: go\n");
  }

  @Test
  void onATerminalWhatIsOverAtOnceShowsNoBar() {
    captured.terminal = new Console.Terminal(true, true, true, 40);
    try (Progress progress = new Progress(captured.console())) {
      progress.phase("image: building", 0, 0);
    }
    assertThat(captured.err()).isEmpty();
  }

  @Test
  void onATerminalTheLineIsRewrittenAndClearedAtTheEnd() {
    captured.terminal = new Console.Terminal(true, true, true, 60);
    try (Progress progress = new Progress(captured.console(), System.nanoTime() - 2_000_000_000L)) {
      progress.phase("building with a text that is too long for it", 1, 2);
    }
    assertThat(captured.err())
        .isEqualTo("\r\033[K[############            ] 1/2 building with a text that is\r\033[K");
  }

  @Test
  void tablesAlignAndHideControlCharacters() {
    Table table = new Table("A", "LONG");
    table.row("wide ✓", "x\u0007");
    assertThat(table.lines()).containsExactly("A       LONG", "wide ✓  x?");
  }
}
