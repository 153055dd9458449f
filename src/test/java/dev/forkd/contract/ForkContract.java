package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Forking: everybody answers, nobody shares. */
public interface ForkContract extends Contract {
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 16, 100})
  default void everyChildAnswers(int n) {
    ForkPlan plan = bench().batch(n, Limits.DEFAULT);
    List<ForkOutcome> outcomes = bench().template().fork(plan);
    List<Guest> guests = outcomes.stream().map(bench()::guest).toList();
    assertThat(guests)
        .extracting(Guest::id)
        .containsExactlyElementsOf(plan.children().stream().map(ForkPlan.Child::id).toList());
    Set<Long> pids = new HashSet<>();
    for (Guest guest : guests) {
      Pong pong = guest.ping(Bench.SOON);
      assertThat(pong.runtime()).isEqualTo(Pong.RuntimeState.READY);
      assertThat(pong.report()).contains("\"python\"");
      assertThat(Bench.eval(guest, "6 * 7")).isEqualTo("42");
      pids.add(guest.pid());
    }
    assertThat(pids).hasSize(n);
    assertThat(outcomes).allSatisfy(o -> assertThat(((ForkOutcome.Forked) o).ready()).isPositive());
  }

  @Test
  default void stateOfOneChildIsUnknownToSiblingsParentAndLaterForks() {
    List<Guest> guests = bench().fork(2);
    Bench.eval(guests.get(0), "import json; json.mine = 1; warmed['n'] = 7");
    assertThat(Bench.eval(guests.get(0), "json.mine, warmed")).isEqualTo("(1, {'n': 7})");
    Guest later = bench().fork();
    for (Guest other : List.of(guests.get(1), later)) {
      assertThat(Bench.eval(other, "import json; hasattr(json, 'mine'), warmed"))
          .isIn("(False, {'n': 0})");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"/etc", "/tmp", "/var/tmp", "/root", "/workdir", "/dev/shm", "/run"})
  default void filesAreNobodyElses(String dir) {
    List<Guest> guests = bench().fork(2);
    String file = dir + "/written-by-one";
    assertThat(Bench.sh(guests.get(0), "echo hello > " + file + " && cat " + file).stdout())
        .isEqualTo("hello\n");
    assertThat(Bench.sh(guests.get(1), "test -e " + file).exitCode()).isEqualTo(1);
    assertThat(Bench.sh(bench().fork(), "test -e " + file).exitCode()).isEqualTo(1);
    assertThat(java.nio.file.Path.of(file)).doesNotExist();
  }

  @Test
  default void everyChildHasEveryPortToItself() {
    List<Guest> guests = bench().fork(3);
    String listen =
        """
        import socket
        server = socket.create_server(("0.0.0.0", 8000))
        client = socket.create_connection(("127.0.0.1", 8000))
        server.accept()[0].sendall(b"hello")
        client.recv(5)
        """;
    guests.forEach(guest -> assertThat(Bench.eval(guest, listen)).isEqualTo("b'hello'"));
  }

  @Test
  default void aChildThatLivesAlreadyCannotBeForkedAgain() {
    ForkPlan plan = bench().batch(1, Limits.DEFAULT);
    Guest guest = bench().guest(bench().template().fork(plan).getFirst());
    assertThat(Contract.failureOf(() -> bench().template().fork(plan)).kind())
        .isEqualTo(FailureKind.CONFLICT);
    assertThat(Bench.eval(guest, "1")).isEqualTo("1");
  }

  @Test
  default void theTemplateReportsWhatItWarmed() {
    assertThat(bench().template().report()).startsWith("{").contains("\"python\"");
    assertThat(bench().log()).contains("warming up");
  }
}
