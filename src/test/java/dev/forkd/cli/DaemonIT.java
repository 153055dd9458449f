package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.forkd.json.Json;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Commands in processes of their own, the daemon that they start, and the real kernel. */
@Timeout(300)
final class DaemonIT {
  private static final Path PROJECT =
      Path.of(System.getProperty("forkd.home", "")).toAbsolutePath();

  @TempDir private Path directory;

  private record Ran(int code, String out, String err) {}

  @BeforeEach
  void home() throws IOException {
    boolean must = System.getenv().getOrDefault("FORKD_MUST_RUN", "").contains("process");
    assumeTrue(must || Directories.isRoot(), "a daemon takes root");
    // Without the launcher script, which would build what is being tested.
    for (String part : List.of("native", "python", "recipes")) {
      Files.createSymbolicLink(directory.resolve(part), PROJECT.resolve(part));
    }
  }

  @AfterEach
  void stop() throws Exception {
    run("stop");
  }

  private Ran run(String... args) throws Exception {
    List<String> line = new ArrayList<>();
    line.add(ProcessHandle.current().info().command().orElseThrow());
    line.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    line.addAll(List.of("-Dforkd.home=" + directory, "-cp", System.getProperty("java.class.path")));
    line.add("dev.forkd.Main");
    line.addAll(Arrays.asList(args));
    return finished(new ProcessBuilder(line));
  }

  private Ran relayed(String... args) throws Exception {
    List<String> line = new ArrayList<>();
    line.add(PROJECT.resolve("native/build/forkd-cli").toString());
    line.addAll(Arrays.asList(args));
    return finished(new ProcessBuilder(line));
  }

  private Ran finished(ProcessBuilder builder) throws Exception {
    builder.environment().keySet().removeIf(name -> name.startsWith("FORKD_"));
    builder.environment().put("FORKD_STATE_DIR", directory.resolve("s").toString());
    Path err = Files.createTempFile(directory, "stderr", "");
    builder.redirectInput(new File("/dev/null")).redirectError(err.toFile());
    Process process = builder.start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Ran(process.exitValue(), out, Files.readString(err));
  }

  private String sandbox() throws Exception {
    return Json.parse(relayed("ls", "--json").out()).get(0).path("id").stringValue();
  }

  @Test
  void twoCommandsAtOnceStartOneDaemonWhichThenServesEveryVerb() throws Exception {
    List<CompletableFuture<Ran>> both = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      both.add(CompletableFuture.supplyAsync(this::images));
    }
    List<Ran> ran = both.stream().map(CompletableFuture::join).toList();
    assertThat(ran).allSatisfy(r -> assertThat(r.code()).isZero());
    assertThat(ran.stream().filter(r -> r.err().contains("started forkd daemon (pid "))).hasSize(1);

    Ran snapshot = relayed("snapshot", directory.resolve("recipes/python-numpy").toString());
    assertThat(snapshot.err()).contains("✓ tag 'python-numpy' ready.");
    assertThat(run("fork", "python-numpy", "-n", "2").out()).contains("✓ 2 / 2 children alive");
    String id = sandbox();
    for (boolean relay : List.of(true, false)) {
      everyVerb(id, relay);
    }
    assertThat(relayed("kill", "--all").out().lines()).hasSize(2);
    assertThat(relayed("rmi", "python-numpy").out()).isEqualTo("  ✓ python-numpy\n");
    assertThat(run("stop").out()).startsWith("stopped forkd daemon (pid ");
    assertThat(relayed("ls").code()).isEqualTo(250);
    assertThat(directory.resolve("s/run")).isDirectoryNotContaining("glob:**.{sock,pid}");
  }

  private Ran images() {
    try {
      return run("images");
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private void everyVerb(String id, boolean relay) throws Exception {
    assertThat(either(relay, "ping", id).out()).contains("runtime ready");
    assertThat(either(relay, "eval", id, "21 * 2").out()).isEqualTo("42\n");
    Ran failed = either(relay, "eval", id, "1/0");
    assertThat(failed.code()).isEqualTo(1);
    assertThat(failed.err()).contains("ZeroDivisionError");
    assertThat(either(relay, "exec", id, "--", "sh", "-c", "echo o; echo e >&2; exit 7"))
        .isEqualTo(new Ran(7, "o\n", "e\n"));
    assertThat(either(relay, "exec", id, "--", "sh", "-c", "kill -9 $$").code()).isEqualTo(137);
    assertThat(either(relay, "exec", id, "--timeout", "1", "sleep", "9").code()).isEqualTo(143);
    // A program finds what it would find in an interpreter of its own: numpy once it imports it.
    String code =
        "import sys; early = 'numpy' in sys.modules; import numpy;"
            + " print(early, numpy.arange(3).sum(), sys.argv[1])";
    assertThat(either(relay, "call", id, "-c", code, "x").out()).isEqualTo("False 3 x\n");
    assertThat(either(relay, "exec", "sb-0-0000", "true").code()).isEqualTo(125);
    assertThat(either(relay, "ping", "sb-0-0000").code()).isEqualTo(4);
  }

  private Ran either(boolean relay, String... args) throws Exception {
    return relay ? relayed(args) : run(args);
  }

  @Test
  void daemonThatCannotStartTellsWhy() throws Exception {
    Path state = Files.createDirectory(directory.resolve("s"));
    Files.createDirectory(state.resolve("run"));
    Files.writeString(state.resolve("forkd.db"), "this is no database".repeat(100));
    Ran ran = run("ls");
    assertThat(ran.code()).isEqualTo(69);
    assertThat(ran.err()).contains("ended with exit code").contains("forkd.db");
  }
}
