package dev.forkd.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class StateDirectoryTest {
  @TempDir Path dir;

  private StateDirectory open(String name) {
    return StateDirectory.open(dir.resolve(name), dir.resolve(name + "-run"));
  }

  private static String mode(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @Test
  void everythingIsPrivate() throws IOException {
    try (StateDirectory state = open("s")) {
      assertThat(
              new Path[] {
                state.state(),
                state.run(),
                state.snapshots(),
                state.images(),
                state.logs(),
                state.agents()
              })
          .allSatisfy(path -> assertThat(mode(path)).isEqualTo("rwx------"));
      assertThat(state.restSocket()).isEqualTo(dir.resolve("s-run/forkd.sock"));
      assertThat(state.pidFile().getParent()).isEqualTo(state.run());
    }
  }

  @Test
  void oneDaemonPerDirectory() {
    try (StateDirectory first = open("s")) {
      assertThatThrownBy(() -> open("s"))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.CONFLICT))
          .hasMessageContaining("pid " + ProcessHandle.current().pid());
      assertThat(first.instance()).hasSize(8);
    }
    open("s").close();
  }

  @Test
  void theLockHoldsAcrossProcessesAndEndsWithThem() throws Exception {
    Process holder =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-cp",
                System.getProperty("java.class.path"),
                Holder.class.getName(),
                dir.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertThat(holder.inputReader().readLine()).isEqualTo("held");
    assertThatThrownBy(() -> open("s")).hasMessageContaining("pid " + holder.pid());
    holder.destroyForcibly();
    assertThat(holder.waitFor(20, TimeUnit.SECONDS)).isTrue();
    open("s").close();
  }

  /** Holds the lock until it is killed. */
  static final class Holder {
    public static void main(String[] args) throws InterruptedException {
      Path dir = Path.of(args[0]);
      try (StateDirectory held = StateDirectory.open(dir.resolve("s"), dir.resolve("s-run"))) {
        System.out.println(held.instance().isEmpty() ? "" : "held");
        Thread.currentThread().join();
      }
    }
  }

  @Test
  void theInstanceIsThatOfTheRealPath() throws IOException {
    String direct;
    try (StateDirectory state = open("s")) {
      direct = state.instance();
    }
    Files.createSymbolicLink(dir.resolve("link"), dir.resolve("s"));
    try (StateDirectory state = open("link");
        StateDirectory other = open("t")) {
      assertThat(state.instance()).isEqualTo(direct).isNotEqualTo(other.instance());
    }
  }

  @Test
  void aDirectoryThatOthersMayWriteIsRefused() throws IOException {
    Path open = Files.createDirectory(dir.resolve("s"));
    Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
    assertThatThrownBy(() -> open("s"))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("can be written by others");
    Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwx------"));
    open("s").close();
  }

  @Test
  void aRunDirectoryWithTooLongAPathIsRefused() {
    Path longRun = dir.resolve("r".repeat(90));
    assertThatThrownBy(() -> StateDirectory.open(dir.resolve("s"), longRun))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("--run-dir");
    open("s").close();
  }

  @Test
  void aFileInTheWayIsTold() throws IOException {
    Files.writeString(dir.resolve("s"), "");
    assertThatThrownBy(() -> open("s"))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining(dir.resolve("s").toString());
  }
}
