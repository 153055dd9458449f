package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/** Ends: asked for, and not. */
public interface EndContract extends Contract {
  @Test
  default void aRuntimeThatDiesIsReportedAndTheRestLives() {
    List<Guest> guests = bench().fork(2);
    Guest victim = guests.get(0);
    Bench.sh(victim, "kill -9 2");
    Awaitility.await().atMost(Bench.SOON).until(() -> victim.runtime() == Pong.RuntimeState.ENDED);
    assertThat(victim.ping(Bench.SOON).runtime()).isEqualTo(Pong.RuntimeState.ENDED);
    Failure failure = Contract.failureOf(() -> victim.eval("1", Bench.SOON));
    assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
    assertThat(failure.message())
        .startsWith("the runtime of sandbox " + victim.id() + " was killed by SIGKILL");
    assertThat(
            Contract.failureOf(() -> Bench.run(victim, new Program.CallCode("1", List.of())))
                .message())
        .isEqualTo(failure.message());
    assertThat(Bench.sh(victim, "echo still").stdout()).isEqualTo("still\n");
    assertThat(Bench.eval(guests.get(1), "1")).isEqualTo("1");
    assertThat(Bench.eval(bench().fork(), "1")).isEqualTo("1");
  }

  @Test
  default void anEvalInFlightIsToldThatTheRuntimeDied() throws Exception {
    Guest guest = bench().fork();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Failure> failed =
          threads.submit(() ->
              Contract.failureOf(
                  () -> Bench.eval(guest, "open('/tmp/up', 'w'); __import__('time').sleep(60)")));
      Awaitility.await().until(() -> Bench.sh(guest, "test -e /tmp/up").exitCode() == 0);
      Bench.sh(guest, "kill -9 2");
      assertThat(failed.get().message()).contains(guest.id().text()).contains("SIGKILL");
    }
  }

  @Test
  default void aSandboxThatIsKilledIsReportedToAllWhoWait() throws Exception {
    List<Guest> guests = bench().fork(2);
    Guest victim = guests.get(0);
    CompletableFuture<String> ended = victim.ended().toCompletableFuture();
    ProgramSpec spec = ProgramSpec.of(new Program.Exec(List.of("sleep", "1006")), Duration.ZERO);
    RunningProgram program = victim.run(spec);
    ProcessHandle.of(victim.pid()).orElseThrow().destroyForcibly();
    Failure failure = Contract.failureOf(() -> program.next(Bench.SOON));
    assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
    assertThat(failure.message()).startsWith("sandbox " + victim.id()).contains("SIGKILL");
    assertThat(ended.get(5, TimeUnit.SECONDS)).isEqualTo(failure.message());
    assertThat(Contract.failureOf(() -> victim.ping(Bench.SOON))).isEqualTo(failure);
    assertThat(Contract.failureOf(() -> victim.run(spec))).isEqualTo(failure);
    assertThat(Bench.eval(guests.get(1), "1")).isEqualTo("1");
    program.close();
    victim.close();
  }

  @Test
  default void closingASandboxEndsEverythingInItAndIsSilent() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        ProgramSpec.of(
            new Program.Exec(List.of("sh", "-c", "setsid sleep 1007 & sleep 1008")), Duration.ZERO);
    RunningProgram program = guest.run(spec);
    long pid = guest.pid();
    guest.close();
    assertThat(ProcessHandle.of(pid)).isEmpty();
    assertThat(Contract.failureOf(() -> program.next(Bench.SOON)).message())
        .isEqualTo("sandbox " + guest.id() + " was destroyed");
    assertThat(guest.ended().toCompletableFuture()).isNotDone();
    guest.close();
  }

  @Test
  default void manySandboxesAreClosedAtOnce() throws Exception {
    List<Guest> guests = bench().fork(20);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<?>> closed =
          guests.stream().<Future<?>>map(guest -> threads.submit(guest::close)).toList();
      for (Future<?> each : closed) {
        each.get(20, TimeUnit.SECONDS);
      }
    }
    assertThat(guests).allSatisfy(g -> assertThat(ProcessHandle.of(g.pid())).isEmpty());
  }

  @Test
  default void closingATemplateEndsItsSandboxes() {
    Template other = bench().engine().warm(bench().plan(Bench.warmUp()), _ -> {});
    Guest guest = bench().fork(other, 1, Limits.DEFAULT).getFirst();
    other.close();
    assertThat(ProcessHandle.of(guest.pid())).isEmpty();
    assertThat(other.ended().toCompletableFuture()).isNotDone();
    Failure failure = Contract.failureOf(() -> other.fork(bench().batch(1, Limits.DEFAULT)));
    assertThat(failure.message()).contains(Bench.TAG.text());
    assertThat(Bench.eval(bench().fork(), "1")).isEqualTo("1");
  }
}
