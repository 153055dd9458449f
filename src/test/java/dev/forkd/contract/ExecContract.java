package dev.forkd.contract;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.TerminalSize;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/** New processes. */
public interface ExecContract extends Contract {
  @Test
  default void exitCodesAndSignalsAreToldAsTheyAre() {
    Guest guest = bench().fork();
    assertThat(Bench.sh(guest, "exit 0").exitCode()).isZero();
    assertThat(Bench.sh(guest, "exit 37").exitCode()).isEqualTo(37);
    assertThat(Bench.sh(guest, "exit 255").exitCode()).isEqualTo(255);
    assertThat(Bench.sh(guest, "kill -9 $$").exitCode()).isEqualTo(-9);
    assertThat(Bench.sh(guest, "kill -SEGV $$").exitCode()).isEqualTo(-11);
  }

  @Test
  default void aConnectionReachesWhatListensInsideAndNothingElse() {
    Guest guest = bench().fork();
    String server =
        """
        import socket, threading
        listener = socket.create_server(("127.0.0.1", 8123))
        def serve():
            while True:
                peer, _ = listener.accept()
                peer.sendall(peer.recv(99).upper()); peer.close()
        threading.Thread(target=serve, daemon=True).start()
        """;
    assertThat(guest.eval(server, Bench.SOON).error()).isEmpty();
    ProgramSpec spec =
        new ProgramSpec(new Program.Connect(8123), Map.of(), "/", "", true, Duration.ZERO);
    for (int i = 0; i < 3; i++) {
      try (RunningProgram connection = guest.run(spec)) {
        connection.write("hello".getBytes(UTF_8), 0, 5);
        ProgramEvent said = connection.next(Bench.SOON);
        assertThat(said)
            .isInstanceOfSatisfying(
                ProgramEvent.Output.class,
                output -> assertThat(new String(output.bytes(), UTF_8)).isEqualTo("HELLO"));
        assertThat(connection.next(Bench.SOON)).isInstanceOf(ProgramEvent.Exited.class);
      }
    }
    Failure nothing =
        Contract.failureOf(() -> Bench.run(bench().fork(), new Program.Connect(8123)));
    assertThat(nothing.kind()).isEqualTo(FailureKind.NOT_FOUND);
    assertThat(nothing.message()).contains("nothing listens on port 8123");
  }

  @Test
  default void bothOutputsAreBinaryAndComplete() {
    Guest guest = bench().fork();
    Ran ran =
        Bench.run(
            guest,
            new Program.Exec(
                List.of(
                    "/usr/bin/python3",
                    "-c",
                    """
                    import os
                    for i in range(40): os.write(1, bytes(range(256)) * 400)
                    os.write(2, b"\\xff\\x00\\xfe")
                    """)));
    assertThat(ran.stdoutBytes()).hasSize(40 * 400 * 256);
    assertThat(ran.stdoutBytes()[256 * 400 + 255]).isEqualTo((byte) 255);
    assertThat(ran.stderrBytes()).containsExactly(-1, 0, -2);
  }

  @Test
  default void whatIsNotThereOrNotExecutableIsAFailure() {
    Guest guest = bench().fork();
    assertThat(Contract.failureOf(() -> Bench.run(guest, new Program.Exec(List.of("no-such")))))
        .satisfies(f -> assertThat(f.kind()).isEqualTo(FailureKind.NOT_FOUND))
        .satisfies(f -> assertThat(f.message()).contains("no-such"));
    assertThat(
            Contract.failureOf(() -> Bench.run(guest, new Program.Exec(List.of("/etc/passwd"))))
                .kind())
        .isEqualTo(FailureKind.CONFLICT);
  }

  @Test
  default void aTimeoutEndsTheWholeProcessGroup() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        ProgramSpec.of(
            new Program.Exec(List.of("sh", "-c", "sleep 1001 & sleep 1002")), bench().moment());
    Ran ran = Bench.run(guest, spec);
    assertThat(ran.status().timedOut()).isTrue();
    assertThat(ran.exitCode()).isEqualTo(-15);
    assertThat(ran.status().duration())
        .isBetween(bench().moment().minusMillis(10), bench().moment().plusMillis(1_700));
    assertNoProcess(guest, "sleep");
  }

  @Test
  default void whoIgnoresTheTimeoutIsKilled() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        ProgramSpec.of(
            new Program.Exec(List.of("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")),
            bench().moment());
    Ran ran = Bench.run(guest, spec);
    assertThat(ran.status().timedOut()).isTrue();
    assertThat(ran.exitCode()).isEqualTo(-9);
  }

  @Test
  default void environmentDirectoryAndUserAreAsAsked() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        new ProgramSpec(
            new Program.Exec(List.of("sh", "-c", "echo $RECIPE $MINE; pwd; id -u; id -g")),
            Map.of("MINE", "two", "RECIPE", "won"),
            "/usr",
            "nobody",
            false,
            Bench.SOON);
    assertThat(Bench.run(guest, spec).stdout()).isEqualTo("won two\n/usr\n65534\n65534\n");
    assertThat(Bench.sh(guest, "pwd; id -u").stdout()).isEqualTo("/workdir\n0\n");
  }

  @Test
  default void stdinIsPassedOnAndEnds() throws Exception {
    Guest guest = bench().fork();
    byte[] input = new byte[3_000_000];
    new Random(1).nextBytes(input);
    ProgramSpec cat =
        new ProgramSpec(new Program.Exec(List.of("cat")), Map.of(), "", "", true, Bench.SOON);
    try (RunningProgram program = guest.run(cat);
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Ran> ran = threads.submit(() -> Ran.toItsEnd(program));
      program.write(input, 0, input.length);
      program.closeInput();
      assertThat(ran.get().stdoutBytes()).isEqualTo(input);
      assertThat(ran.get().exitCode()).isZero();
    }
  }

  @Test
  default void withoutInputStdinIsEmpty() {
    assertThat(Bench.sh(bench().fork(), "wc -c").stdout().strip()).isEqualTo("0");
  }

  @Test
  default void inputToWhoHasEndedIsAConflict() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        new ProgramSpec(new Program.Exec(List.of("true")), Map.of(), "", "", true, Bench.SOON);
    try (RunningProgram program = guest.run(spec)) {
      assertThat(Ran.toItsEnd(program).exitCode()).isZero();
      assertThat(Contract.failureOf(() -> program.write("x".getBytes(UTF_8), 0, 1)).kind())
          .isEqualTo(FailureKind.CONFLICT);
      program.closeInput();
      program.signal(15);
    }
  }

  @Test
  default void signalsReachTheProcessGroup() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        ProgramSpec.of(
            new Program.Exec(
                List.of(
                    "sh",
                    "-c",
                    "trap 'echo got it; exit 5' USR1; sh -c 'echo up; exec sleep 1003' & wait")),
            Bench.SOON);
    try (RunningProgram program = guest.run(spec)) {
      assertThat(program.next(Bench.SOON)).isInstanceOf(ProgramEvent.Output.class);
      program.signal(10);
      Ran ran = Ran.toItsEnd(program);
      assertThat(ran.stdout()).isEqualTo("got it\n");
      assertThat(ran.exitCode()).isEqualTo(5);
    }
    assertNoProcess(guest, "sleep");
  }

  @Test
  default void closingAProgramEndsIt() {
    Guest guest = bench().fork();
    ProgramSpec spec = ProgramSpec.of(new Program.Exec(List.of("sleep", "1004")), Duration.ZERO);
    RunningProgram program = guest.run(spec);
    assertThat(program.pid()).isGreaterThan(1);
    program.close();
    assertNoProcess(guest, "sleep");
  }

  @Test
  default void whoWritesWithoutAReaderWaitsAndLosesNothing() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        ProgramSpec.of(
            new Program.Exec(
                List.of("sh", "-c", "head -c 2000000 /dev/zero; echo done > /tmp/done")),
            Bench.SOON);
    try (RunningProgram program = guest.run(spec)) {
      assertThat(program.next(Bench.SOON)).isInstanceOf(ProgramEvent.Output.class);
      assertThat(Bench.sh(guest, "test -e /tmp/done").exitCode()).isEqualTo(1);
      Ran rest = Ran.toItsEnd(program);
      assertThat(rest.stdoutBytes().length).isBetween(2_000_000 - 65_536, 1_999_999);
      assertThat(Bench.sh(guest, "test -e /tmp/done").exitCode()).isZero();
    }
  }

  @Test
  default void manyProgramsRunSideBySide() throws Exception {
    Guest guest = bench().fork();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Callable<String>> tasks =
          java.util.stream.IntStream.range(0, 60)
              .<Callable<String>>mapToObj(i ->
                  () -> Bench.sh(guest, "head -c 100000 /dev/zero | wc -c; echo " + i).stdout())
              .toList();
      List<Future<String>> ran = threads.invokeAll(tasks);
      for (int i = 0; i < ran.size(); i++) {
        assertThat(ran.get(i).get()).isEqualTo("100000\n" + i + "\n");
      }
    }
  }

  @Test
  default void nextHasADeadlineOfItsOwn() {
    Guest guest = bench().fork();
    ProgramSpec spec = ProgramSpec.of(new Program.Exec(List.of("sleep", "1005")), Duration.ZERO);
    try (RunningProgram program = guest.run(spec)) {
      assertThat(Contract.failureOf(() -> program.next(Duration.ofMillis(50))).kind())
          .isEqualTo(FailureKind.TIMEOUT);
    }
  }

  private static void assertNoProcess(Guest guest, String name) {
    Awaitility.await()
        .atMost(Bench.SOON)
        .ignoreException(ForkdException.class)
        .untilAsserted(() ->
            assertThat(Bench.sh(guest, "cat /proc/[0-9]*/comm | grep -c ^" + name + "$"))
                .extracting(ran -> ran.stdout().strip())
                .isEqualTo("0"));
  }

  @Test
  default void aTerminalIsOneToItsProgram() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        new ProgramSpec(
            new Program.Exec(
                List.of("sh", "-c", "tty; stty size; read x; stty size; echo got $x >&2; cat")),
            Map.of(),
            "",
            "",
            true,
            Optional.of(new TerminalSize(30, 100)),
            Bench.SOON);
    try (RunningProgram program = guest.run(spec)) {
      StringBuilder seen = new StringBuilder();
      readUntil(program, seen, "30 100");
      program.resize(new TerminalSize(5, 6));
      byte[] line = "hello\n".getBytes(StandardCharsets.UTF_8);
      program.write(line, 0, line.length);
      readUntil(program, seen, "got hello");
      assertThat(seen.toString()).contains("/dev/pts/").contains("5 6");
      program.closeInput(); // as ^D does
      ProgramEvent last = program.next(Bench.SOON);
      while (last instanceof ProgramEvent.Output) {
        last = program.next(Bench.SOON);
      }
      assertThat(last)
          .isInstanceOfSatisfying(
              ProgramEvent.Exited.class, e -> assertThat(e.status().exitCode()).isZero());
    }
  }

  @Test
  default void aKeyInterruptsWhatIsInFrontOfATerminal() {
    Guest guest = bench().fork();
    ProgramSpec spec =
        new ProgramSpec(
            new Program.Exec(List.of("sh", "-c", "echo ready; exec sleep 600")),
            Map.of(),
            "",
            "",
            true,
            Optional.of(TerminalSize.USUAL),
            Bench.SOON);
    try (RunningProgram program = guest.run(spec)) {
      readUntil(program, new StringBuilder(), "ready");
      program.write(new byte[] {3}, 0, 1);
      ProgramEvent last = program.next(Bench.SOON);
      while (last instanceof ProgramEvent.Output) {
        last = program.next(Bench.SOON);
      }
      assertThat(last)
          .isInstanceOfSatisfying(
              ProgramEvent.Exited.class, e -> assertThat(e.status().signal()).isEqualTo(2));
    }
  }

  private static void readUntil(RunningProgram program, StringBuilder seen, String text) {
    while (seen.indexOf(text) < 0) {
      if (program.next(Bench.SOON) instanceof ProgramEvent.Output(var _, var bytes)) {
        seen.append(new String(bytes, StandardCharsets.UTF_8));
      } else {
        throw new AssertionError("it ended after: " + seen);
      }
    }
  }
}
