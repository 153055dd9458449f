package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.forkd.client.Endpoint;
import dev.forkd.client.StubServer;
import dev.forkd.model.Recipe;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The real {@code forkd-cli} against a real relay, before a scripted daemon. */
@Timeout(60)
final class RelayTest {
  private static final Path PROGRAM = Path.of("native/build/forkd-cli").toAbsolutePath();
  private static final String STARTED =
      "{\"event\":\"started\",\"program\":\"p\",\"pid\":3,\"warm\":false}";
  private static final String EXIT_3 =
      "{\"event\":\"exit\",\"exit_code\":3,\"timed_out\":false,\"duration_ms\":1}";

  @TempDir private Path run;
  private final AtomicReference<StubServer.Script> script = new AtomicReference<>();
  private StubServer daemon;
  private RelayServer relay;

  @BeforeEach
  void start() throws IOException {
    assumeTrue(Files.isExecutable(PROGRAM), PROGRAM + " is not built");
    daemon = new StubServer((call, out) -> script.get().answer(call, out));
    relay = new RelayServer(run.resolve("cli.sock"), new InDaemon(daemon.endpoint));
    script.set((call, out) -> StubServer.json(out, 200, "[]"));
  }

  @AfterEach
  void stop() throws IOException {
    if (daemon != null) {
      relay.close();
      daemon.close();
    }
  }

  private record InDaemon(Endpoint endpoint) implements Wiring {
    @Override
    public String version() {
      return "9.9.9";
    }

    @Override
    public Path home() {
      return Path.of("/");
    }

    @Override
    public Optional<Endpoint> daemon() {
      return Optional.of(endpoint);
    }

    @Override
    public Recipe recipe(String text, Path baseDir) {
      throw new IllegalStateException();
    }

    @Override
    public void cleanup(Directories directories, Consumer<String> before, Consumer<String> after) {
      throw new IllegalStateException("the relay does not run cleanup");
    }

    @Override
    public int serve(Config config, Console console) {
      throw new IllegalStateException();
    }
  }

  private ProcessBuilder command(String... args) {
    List<String> line = new ArrayList<>(List.of(PROGRAM.toString()));
    line.addAll(Arrays.asList(args));
    ProcessBuilder builder = new ProcessBuilder(line);
    builder.environment().keySet().removeIf(name -> name.startsWith("FORKD_"));
    builder.environment().put("FORKD_RUN_DIR", run.toString());
    return builder.redirectInput(new File("/dev/null"));
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static int exitCode(Process process) throws InterruptedException {
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  private StubServer.Script program(ProgramScript body) {
    return (call, out) -> {
      if (call.line().endsWith("/exec")) {
        StubServer.stream(out);
        StubServer.event(out, STARTED);
        out.flush();
        body.run(out);
        StubServer.event(out, EXIT_3);
        StubServer.end(out);
      } else {
        StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
      }
    };
  }

  private interface ProgramScript {
    void run(OutputStream out) throws IOException;
  }

  @Test
  void commandRunsInTheDaemon() throws Exception {
    Process process = command("ls").start();
    assertThat(text(process.getInputStream().readAllBytes())).isEqualTo("no live sandboxes\n");
    assertThat(exitCode(process)).isZero();
    assertThat(daemon.lines).containsExactly("GET /v1/sandboxes");
  }

  @Test
  void outputsAndExitCodePassThrough() throws Exception {
    script.set(
        program(out -> {
          StubServer.event(out, "{\"event\":\"stdout\",\"data\":\"one\"}");
          StubServer.event(out, "{\"event\":\"stderr\",\"data_b64\":\"AP8=\"}");
        }));
    Process process = command("exec", "sb-1", "--", "x").start();
    assertThat(text(process.getInputStream().readAllBytes())).isEqualTo("one");
    assertThat(process.getErrorStream().readAllBytes()).containsExactly(0, 0xff);
    assertThat(exitCode(process)).isEqualTo(3);
  }

  @Test
  void usageErrorsComeBack() throws Exception {
    Process process = command("ls", "--nope").start();
    assertThat(text(process.getErrorStream().readAllBytes())).contains("Unknown option");
    assertThat(exitCode(process)).isEqualTo(2);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "serve",
        "quickstart",
        "doctor",
        "stop",
        "--version",
        "",
        "ls --url unix:/x",
        "ls --daemon-url=unix:/x"
      })
  void whatMustNotBeRelayedIsRefused(String line) throws Exception {
    Process process = command(line.split(" ")).start();
    assertThat(exitCode(process)).isEqualTo(250);
    assertThat(process.getErrorStream().readAllBytes()).isEmpty();
    assertThat(daemon.lines).isEmpty();
  }

  @Test
  void environmentCanSwitchItOff() throws Exception {
    for (String variable : List.of("FORKD_NO_RELAY", "FORKD_URL")) {
      ProcessBuilder builder = command("ls");
      builder.environment().put(variable, "1");
      assertThat(exitCode(builder.start())).isEqualTo(250);
    }
  }

  @Test
  void absentOrDeafSocketIsRefused() throws Exception {
    relay.close();
    assertThat(exitCode(command("ls").start())).isEqualTo(250);
  }

  @Test
  void urlAfterTheDashesBelongsToTheProgram() throws Exception {
    script.set(program(out -> {}));
    assertThat(exitCode(command("exec", "sb-1", "--", "x", "--url", "y").start())).isEqualTo(3);
  }

  @Test
  void inputStreamsThrough() throws Exception {
    int size = 5_000_000;
    CountDownLatch came = new CountDownLatch(1);
    StringBuilder got = new StringBuilder();
    StubServer.Script exec = program(out -> awaitLatch(came));
    script.set((call, out) -> {
      if (call.line().endsWith("/stdin")) {
        call.chunks().forEach(got::append);
        StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
        came.countDown();
      } else {
        exec.answer(call, out);
      }
    });
    Process process =
        command("exec", "sb-1", "cat").redirectInput(ProcessBuilder.Redirect.PIPE).start();
    byte[] block = "0123456789".getBytes(StandardCharsets.UTF_8);
    try (OutputStream in = new java.io.BufferedOutputStream(process.getOutputStream())) {
      for (int i = 0; i < size / block.length; i++) {
        in.write(block);
      }
    }
    assertThat(exitCode(process)).isEqualTo(3);
    assertThat(got).hasSize(size).startsWith("0123456789").endsWith("0123456789");
  }

  private static void awaitLatch(CountDownLatch latch) throws IOException {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  @Test
  void commandThatDoesNotReadLeavesTheInputAlone() throws Exception {
    Path file = Files.writeString(run.resolve("input"), "rest");
    String line = PROGRAM + " ls >/dev/null; cat";
    ProcessBuilder builder = new ProcessBuilder("sh", "-c", line).redirectInput(file.toFile());
    builder.environment().put("FORKD_RUN_DIR", run.toString());
    assertThat(text(builder.start().getInputStream().readAllBytes())).isEqualTo("rest");
  }

  @Test
  void slowReaderHoldsTheProgramBack() throws Exception {
    AtomicBoolean written = new AtomicBoolean();
    String event = "{\"event\":\"stdout\",\"data\":\"" + "x".repeat(10_000) + "\"}";
    script.set(
        program(out -> {
          for (int i = 0; i < 1000; i++) {
            StubServer.event(out, event);
          }
          written.set(true);
        }));
    Process process = command("exec", "sb-1", "x").start();
    byte[] first = process.getInputStream().readNBytes(10);
    assertThat(first).hasSize(10);
    await().during(300, TimeUnit.MILLISECONDS).until(() -> !written.get());
    assertThat(process.getInputStream().readAllBytes().length).isEqualTo(10_000_000 - 10);
    assertThat(exitCode(process)).isEqualTo(3);
  }

  @Test
  void readerThatLeavesEndsTheProgram() throws Exception {
    CountDownLatch hungUp = new CountDownLatch(1);
    String event = "{\"event\":\"stdout\",\"data\":\"" + "x".repeat(10_000) + "\"}";
    script.set(
        program(out -> {
          try {
            while (true) {
              StubServer.event(out, event);
            }
          } finally {
            hungUp.countDown();
          }
        }));
    ProcessBuilder builder =
        new ProcessBuilder(
            "bash", "-c", PROGRAM + " exec sb-1 x | head -c 5; echo ${PIPESTATUS[0]}");
    builder.environment().put("FORKD_RUN_DIR", run.toString());
    Process process = builder.redirectInput(new File("/dev/null")).start();
    assertThat(text(process.getInputStream().readAllBytes())).isEqualTo("xxxxx141\n");
    assertThat(hungUp.await(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void signalGoesToTheProgram() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch signalled = new CountDownLatch(1);
    StubServer.Script exec =
        program(out -> {
          running.countDown();
          awaitLatch(signalled);
        });
    script.set((call, out) -> {
      if (call.line().endsWith("/signal")) {
        assertThat(call.body()).isEqualTo("{\"signal\":2}");
        signalled.countDown();
      }
      exec.answer(call, out);
    });
    Process process = command("exec", "sb-1", "x").start();
    running.await();
    await()
        .untilAsserted(() -> {
          assertThat(new ProcessBuilder("kill", "-INT", "" + process.pid()).start().waitFor())
              .isZero();
          assertThat(signalled.await(100, TimeUnit.MILLISECONDS)).isTrue();
        });
    assertThat(exitCode(process)).isEqualTo(3);
  }

  @Test
  void signalInterruptsACommandThatHasNoUseForIt() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch never = new CountDownLatch(1);
    script.set((call, out) -> {
      asked.countDown();
      awaitLatch(never);
    });
    Process process = command("ls").start();
    asked.await();
    assertThat(new ProcessBuilder("kill", "-INT", "" + process.pid()).start().waitFor()).isZero();
    assertThat(exitCode(process)).isEqualTo(130);
    never.countDown();
  }

  @Test
  void killedCallerEndsItsCommand() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch hungUp = new CountDownLatch(1);
    script.set((call, out) -> {
      StubServer.stream(out);
      StubServer.event(out, STARTED);
      out.flush();
      running.countDown();
      try {
        assertThat(call.in().read()).isNegative();
      } finally {
        hungUp.countDown(); // a reset is one as well: not everything that we sent was read
      }
    });
    Process process = command("exec", "sb-1", "x").start();
    running.await();
    process.destroyForcibly();
    assertThat(hungUp.await(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void relayThatEndsIsToldToTheCaller() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch never = new CountDownLatch(1);
    script.set(
        program(out -> {
          StubServer.event(out, "{\"event\":\"stdout\",\"data\":\"y\"}");
          out.flush();
          running.countDown();
          awaitLatch(never);
        }));
    Process process = command("exec", "sb-1", "x").start();
    running.await();
    assertThat(process.getInputStream().read()).isEqualTo('y');
    relay.close();
    assertThat(text(process.getErrorStream().readAllBytes())).contains("the daemon ended");
    assertThat(exitCode(process)).isEqualTo(70);
    never.countDown();
  }
}
