package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.EvalResult;
import dev.forkd.model.FailureKind;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Code in the eval session. */
public interface EvalContract extends Contract {
  Duration SOON = Bench.SOON;

  @Test
  default void valuesOutputAndStateAreKept() {
    Guest guest = bench().fork();
    EvalResult result =
        guest.eval("import sys\nprint('out')\nprint('err', file=sys.stderr)\n5", SOON);
    assertThat(result).isEqualTo(new EvalResult("5", "out\n", "err\n", "", "", false, false));
    assertThat(guest.eval("x = 3", SOON).result()).isEmpty();
    assertThat(Bench.eval(guest, "x + 1")).isEqualTo("4");
    assertThat(Bench.eval(guest, "warmed")).isEqualTo("{'n': 0}");
  }

  @Test
  default void anExceptionIsAResultWithTheUsersTraceback() {
    Guest guest = bench().fork();
    EvalResult result = guest.eval("def f():\n  return 1 / 0\nf()", SOON);
    assertThat(result.exitCode()).isEqualTo(1);
    assertThat(result.error()).isEqualTo("ZeroDivisionError: division by zero");
    assertThat(result.traceback()).contains("return 1 / 0").doesNotContain("forkd");
    assertThat(Bench.eval(guest, "'still here'")).isEqualTo("'still here'");
  }

  @Test
  default void outputIsBounded() {
    EvalResult result = bench().fork().eval("print('x' * 3_000_000)", SOON);
    assertThat(result.truncated()).isTrue();
    assertThat(result.stdout().length()).isBetween(100_000, 1 << 20);
  }

  @Test
  default void aTimeoutInterruptsAndKeepsState() {
    Guest guest = bench().fork();
    Bench.eval(guest, "kept = 1");
    assertThat(
            Contract.failureOf(() -> guest.eval("import time; time.sleep(1000)", bench().moment()))
                .kind())
        .isEqualTo(FailureKind.TIMEOUT);
    assertThat(Bench.eval(guest, "kept")).isEqualTo("1");
  }

  @Test
  default void whoIgnoresTheInterruptLosesTheSession() {
    Guest guest = bench().fork();
    String stubborn =
        """
        import signal
        lost = 1
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True: pass
        """;
    assertThat(Contract.failureOf(() -> guest.eval(stubborn, bench().moment())).kind())
        .isEqualTo(FailureKind.TIMEOUT);
    EvalResult next = guest.eval("'lost' in globals()", SOON);
    assertThat(next.result()).isEqualTo("False");
    assertThat(next.restarted()).isTrue();
  }

  @Test
  default void aSessionThatDiesIsToldAndReplaced() {
    Guest guest = bench().fork();
    assertThat(guest.eval("import os; os.kill(os.getpid(), 11)", SOON).error()).contains("SIGSEGV");
    assertThat(guest.eval("1", SOON).restarted()).isTrue();
  }

  @Test
  default void aLongEvalBlocksNobodyElse() throws Exception {
    Guest guest = bench().fork();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<String> slow =
          threads.submit(
              () -> Bench.eval(guest, "while not __import__('os').path.exists('/tmp/go'): pass"));
      assertThat(guest.ping(SOON).report()).contains("python");
      assertThat(Bench.sh(guest, "echo exec").stdout()).isEqualTo("exec\n");
      assertThat(slow).isNotDone();
      Bench.sh(guest, "touch /tmp/go");
      slow.get();
    }
  }

  @Test
  default void evalsTakeTurns() throws Exception {
    Guest guest = bench().fork();
    Bench.eval(guest, "n = 0");
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Callable<String>> tasks =
          IntStream.range(0, 40)
              .<Callable<String>>mapToObj(
                  _ -> () -> Bench.eval(guest, "m = n; __import__('time').sleep(0.002); n = m + 1"))
              .toList();
      for (Future<String> done : threads.invokeAll(tasks)) {
        done.get();
      }
    }
    assertThat(Bench.eval(guest, "n")).isEqualTo("40");
  }
}
