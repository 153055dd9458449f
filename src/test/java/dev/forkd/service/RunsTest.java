package dev.forkd.service;

import static dev.forkd.service.ServiceFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.forkd.model.CompletedProgram;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Request;
import dev.forkd.model.Request.WarmUse;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class RunsTest {
  @TempDir Path dir;
  private ServiceFixture service;
  private SandboxId id;

  @BeforeEach
  void open() {
    service = ServiceFixture.open(dir);
    service.create("demo");
    id = service.fork("demo", 1).getFirst().id();
  }

  @AfterEach
  void close() {
    service.close();
  }

  private static ProgramSpec spec(String... args) {
    return ProgramSpec.of(new Program.Exec(List.of(args)), Duration.ofSeconds(5));
  }

  private CompletedProgram run(WarmUse warm, String... args) {
    return service.forkd.handle(new Request.RunToEnd(id, spec(args), warm, new byte[0]));
  }

  @Test
  void outputIsCollected() {
    CompletedProgram done = run(WarmUse.AUTO, "echo", "hello", "world");
    assertThat(done.stdout()).isEqualTo("hello world\n");
    assertThat(done.error()).isEmpty();
    assertThat(done.warm()).isFalse();
    assertThat(run(WarmUse.AUTO, "err", "oops").stderr()).isEqualTo("oops");
    assertThat(run(WarmUse.AUTO, "exit", "3").status().exitCode()).isEqualTo(3);
    assertThat(run(WarmUse.AUTO, "binary").stdout()).isEqualTo("\ufffd\0\ufffd");
  }

  @Test
  void outputIsBounded() {
    CompletedProgram done = run(WarmUse.AUTO, "flood", "9");
    assertThat(done.stdout()).hasSize(CappedOutput.MAX_BYTES);
    assertThat(done.truncated()).isTrue();
    assertThat(run(WarmUse.AUTO, "flood", "8").truncated()).isFalse();
  }

  @Test
  void inputIsGiven() {
    byte[] input = "in put".getBytes(StandardCharsets.UTF_8);
    ProgramSpec cat =
        new ProgramSpec(
            new Program.Exec(List.of("cat")), Map.of(), "", "", true, Duration.ofSeconds(5));
    CompletedProgram done =
        service.forkd.handle(new Request.RunToEnd(id, cat, WarmUse.AUTO, input));
    assertThat(done.stdout()).isEqualTo("in put");
  }

  @Test
  void aTimeoutIsTold() {
    CompletedProgram done = run(WarmUse.AUTO, "late");
    assertThat(done.status().timedOut()).isTrue();
    assertThat(done.status().exitCode()).isEqualTo(-15);
    assertThat(done.error()).isEqualTo("timed out after 5 s; the process group was ended");
  }

  @Test
  void aCommandThatIsNotThereIsAnAnswer() {
    CompletedProgram missing = run(WarmUse.AUTO, "missing");
    assertThat(missing.status().exitCode()).isEqualTo(127);
    assertThat(missing.error()).contains("no such command");
    assertThat(missing.stderr()).contains("no such command");
    assertThat(run(WarmUse.AUTO, "denied").status().exitCode()).isEqualTo(126);
    assertFails(FailureKind.ENGINE, "agent is gone", () -> run(WarmUse.AUTO, "broken"));
  }

  @Test
  void pythonRunsWarmWhenThatIsTheSame() {
    CompletedProgram warm = run(WarmUse.AUTO, "python3", "-m", "pytest", "-q");
    assertThat(warm.warm()).isTrue();
    assertThat(warm.stdout()).isEqualTo("module pytest [-q]\n");
    assertThat(run(WarmUse.REQUIRED, "python3", "-c", "pass").warm()).isTrue();
    assertThat(run(WarmUse.NEVER, "python3", "-m", "pytest").warm()).isFalse();
    assertThat(run(WarmUse.AUTO, "python3", "-u", "x.py").warm()).isFalse();
    assertFails(FailureKind.INVALID, "cannot run warm", () -> run(WarmUse.REQUIRED, "echo", "x"));
  }

  @Test
  void withoutALivingRuntimeItRunsCold() {
    service.engine.guests().getFirst().endRuntime();
    assertThat(run(WarmUse.AUTO, "python3", "-m", "pytest").warm()).isFalse();
  }

  @Test
  void aRecipeWithoutARuntimeHasNoCalls() {
    service.create("plain", "name: plain\nimage: host\n", false);
    id = service.fork("plain", 1).getFirst().id();
    assertThat(run(WarmUse.AUTO, "python3", "-c", "pass").warm()).isFalse();
    assertFails(
        FailureKind.INVALID, "no runtime", () -> run(WarmUse.REQUIRED, "python3", "-c", "pass"));
    ProgramSpec call =
        ProgramSpec.of(new Program.CallModule("x", List.of()), Duration.ofSeconds(1));
    assertFails(
        FailureKind.UNSUPPORTED,
        "no warm runtime",
        () -> service.forkd.handle(new Request.RunToEnd(id, call, WarmUse.REQUIRED, new byte[0])));
  }

  @Test
  void aStartedProgramIsFoundUntilItIsClosed() {
    StartedProgram started = service.forkd.handle(new Request.Run(id, spec("wait"), WarmUse.AUTO));
    RunningProgram found = find(id, started.name());
    found.signal(15);
    assertThat(started.program().next(Duration.ofSeconds(5)))
        .isInstanceOfSatisfying(
            ProgramEvent.Exited.class, e -> assertThat(e.status().signal()).isEqualTo(15));
    SandboxId other = service.fork("demo", 1).getFirst().id();
    assertFails(FailureKind.NOT_FOUND, "program not found", () -> find(other, started.name()));
    assertThat(service.forkd.metricsText()).contains("forkd_programs_running 1\n");
    started.close();
    assertFails(FailureKind.NOT_FOUND, "program not found", () -> find(id, started.name()));
    assertThat(service.engine.guests()).anyMatch(guest -> !guest.programs().isEmpty());
  }

  private RunningProgram find(SandboxId sandbox, String name) {
    return service.forkd.handle(new Request.FindProgram(sandbox, name));
  }

  @Test
  void latenciesAreCounted() {
    run(WarmUse.AUTO, "echo");
    service.forkd.handle(new Request.Eval(id, "1+1", Duration.ofSeconds(1)));
    assertThat(service.forkd.metricsText())
        .contains("forkd_run_seconds_count{kind=\"exec\"} 1\n")
        .contains("forkd_run_seconds_count{kind=\"eval\"} 1\n")
        .contains("forkd_fork_seconds_count{engine=\"process\",snapshot=\"demo\"} 1\n")
        .contains("forkd_pool_hits_total 0\n")
        .contains(
            "forkd_fork_seconds_bucket{engine=\"process\",snapshot=\"demo\",le=\"+Inf\"} 1\n");
  }

  @Test
  void everyProgramIsClosedInTheEnd() {
    run(WarmUse.AUTO, "echo");
    run(WarmUse.AUTO, "late");
    assertThat(service.engine.guests().getFirst().programs())
        .hasSize(2)
        .allSatisfy(program -> await().until(program::closed));
  }
}
