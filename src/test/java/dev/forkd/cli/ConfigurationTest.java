package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where things are, and which of flag, variable and default wins. */
final class ConfigurationTest {
  private final Captured captured = new Captured();

  private Directories directories(String state, String run) {
    return Directories.of(captured.console(), state, run);
  }

  @Test
  void flagsWinOverVariables() {
    captured.env.put("FORKD_STATE_DIR", "/env/state");
    captured.env.put("FORKD_RUN_DIR", "/env/run");
    assertThat(directories("", ""))
        .isEqualTo(new Directories(Path.of("/env/state"), Path.of("/env/run")));
    assertThat(directories("/flag", "/run/x"))
        .isEqualTo(new Directories(Path.of("/flag"), Path.of("/run/x")));
  }

  @Test
  void runDirectoryFollowsAStateDirectoryThatWasGiven() {
    assertThat(directories("/s", "").run()).isEqualTo(Path.of("/s/run"));
    captured.env.put("FORKD_STATE_DIR", "/e");
    assertThat(directories("", "").run()).isEqualTo(Path.of("/e/run"));
  }

  @Test
  void relativePathsStartAtTheCallersDirectory() {
    captured.cwd = Path.of("/somewhere");
    assertThat(directories("x/../s", "r"))
        .isEqualTo(new Directories(Path.of("/somewhere/s"), Path.of("/somewhere/r")));
  }

  @Test
  void rootHasTheSystemsDirectories() {
    assumeTrue(Directories.isRoot());
    assertThat(directories("", ""))
        .isEqualTo(new Directories(Path.of("/var/lib/forkd"), Path.of("/run/forkd")));
  }

  @Test
  void pathTooLongForASocketIsRefused() {
    assertThatThrownBy(() -> directories("/" + "x".repeat(120), ""))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("--run-dir");
  }

  @Test
  void serveTakesFlagsThenVariablesThenDefaults() {
    assumeTrue(Directories.isRoot());
    captured.env.put("FORKD_STATE_DIR", "/s");
    captured.env.put("FORKD_TOKEN_FILE", "token");
    assertThat(captured.run("serve", "--run-dir", "/r")).isZero();
    assertThat(captured.out())
        .isEqualTo(
            "Config[directories=Directories[state=/s, run=/r], bind=127.0.0.1:8889,"
                + " tokenFile=/token, tlsCert=, tlsKey=, auditLog=, branchConcurrency=4,"
                + " memoryBudgetMib=0, sweepInterval=PT10M, nameServers=, adoptGrace=PT0S,"
                + " keepOnStop=false]\n");
    captured.out.reset();
    captured.env.put("FORKD_BIND", "none");
    captured.run("serve", "--tls-cert", "/c", "--tls-key", "/k");
    assertThat(captured.out()).contains("bind=none").contains("tlsCert=/c, tlsKey=/k");
    captured.out.reset();
    captured.run("serve", "--bind", "h:1", "--branch-concurrency", "7", "--memory-budget", "512");
    assertThat(captured.out())
        .contains("bind=h:1")
        .contains("branchConcurrency=7, memoryBudgetMib=512");
    captured.env.put("FORKD_BRANCH_CONCURRENCY", "0");
    assertThat(captured.run("serve")).isEqualTo(2);
    assertThat(captured.err()).contains("--branch-concurrency is \"0\"");
    captured.env.put("FORKD_MEMORY_BUDGET", "8GiB");
    captured.env.remove("FORKD_BRANCH_CONCURRENCY");
    assertThat(captured.run("serve")).isEqualTo(2);
    assertThat(captured.err()).contains("--memory-budget is \"8GiB\"");
    captured.env.remove("FORKD_MEMORY_BUDGET");
    captured.out.reset();
    captured.env.put("FORKD_SWEEP_INTERVAL", "10m");
    assertThat(captured.run("serve")).isEqualTo(2);
    assertThat(captured.err()).contains("--sweep-interval is \"10m\"");
    captured.env.remove("FORKD_SWEEP_INTERVAL");
    captured.env.put("FORKD_ADOPT_GRACE", "300");
    captured.run("serve", "--on-stop", "keep");
    assertThat(captured.out()).contains("adoptGrace=PT5M, keepOnStop=true");
    captured.env.put("FORKD_ADOPT_GRACE", "86401");
    assertThat(captured.run("serve")).isEqualTo(2);
    assertThat(captured.err()).contains("--adopt-grace is \"86401\"");
    assertThat(captured.run("serve", "--adopt-grace", "1", "--on-stop", "x")).isEqualTo(2);
    assertThat(captured.err()).contains("--on-stop is \"x\"");
    captured.env.remove("FORKD_ADOPT_GRACE");
    assertThat(captured.run("serve", "--on-stop", "keep")).isEqualTo(2);
    assertThat(captured.err()).contains("needs --adopt-grace");
  }

  @Test
  void pidFileNamesALiveProcessOnly(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("daemon.pid");
    assertThat(PidFile.read(file)).isEmpty();
    PidFile.write(file);
    assertThat(PidFile.read(file)).contains(ProcessHandle.current());
    long self = ProcessHandle.current().pid();
    Files.writeString(file, self + " 1\n"); // another process had this pid
    assertThat(PidFile.read(file)).isEmpty();
    Files.writeString(file, "999999999 1\n");
    assertThat(PidFile.read(file)).isEmpty();
    Files.writeString(file, "../etc 1\n");
    assertThatThrownBy(() -> PidFile.read(file)).hasMessageContaining("cannot read");
  }

  @Test
  void stopWithoutADaemonIsDone(@TempDir Path directory) {
    captured.env.put("FORKD_STATE_DIR", directory.toString());
    assertThat(captured.run("stop")).isZero();
    assertThat(captured.out()).isEqualTo("no daemon runs at " + directory + "/run\n");
  }

  @Test
  void stampFitsTheSameFilesOnly(@TempDir Path directory) throws IOException {
    Path recipe = Files.createDirectory(directory.resolve("recipe"));
    Path file = Files.writeString(recipe.resolve("recipe.yaml"), "name: a\n");
    var snapshot = dev.forkd.json.Json.parse("{\"created_at_unix\":7}");
    RecipeStamp stamp = new RecipeStamp(directory, new Tag("ci"));
    assertThat(stamp.fits(recipe, snapshot)).isFalse();
    stamp.write(recipe, snapshot);
    assertThat(stamp.fits(recipe, snapshot)).isTrue();
    assertThat(stamp.fits(recipe, dev.forkd.json.Json.parse("{\"created_at_unix\":8}"))).isFalse();
    Files.writeString(file, "name: b\n");
    assertThat(stamp.fits(recipe, snapshot)).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "6.18.1-x,PASS",
    "6.6.0,PASS",
    "6.5.0,WARN",
    "5.19.0,WARN",
    "5.18.9,FAIL",
    "5.4,FAIL",
    "'',FAIL"
  })
  void kernelsAreJudgedByTheirRelease(String release, Check.Verdict verdict) {
    assertThat(HostChecks.kernel(release).verdict()).isEqualTo(verdict);
  }

  @Test
  void doctorSaysWhatToDo() {
    captured.env.put("FORKD_URL", "unix:/nowhere/forkd.sock");
    captured.home = Path.of("/nowhere");
    assertThat(captured.run("doctor")).isEqualTo(7);
    assertThat(captured.out())
        .contains("✗ launcher         /nowhere/native/build/forkd-launcher is missing")
        .contains("    → make -C /nowhere build")
        .contains("· daemon           none at unix:/nowhere/forkd.sock; commands start one")
        .containsPattern("[0-9]+ passed, [0-9]+ warnings, [0-9]+ failed, [0-9]+ skipped");
    captured.out.reset();
    assertThat(captured.run("doctor", "--json")).isEqualTo(7);
    assertThat(captured.out()).contains("{\"name\":\"launcher\",\"verdict\":\"fail\"");
  }
}
