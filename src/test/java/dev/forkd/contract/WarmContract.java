package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.Pong;
import dev.forkd.model.Recipe;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Warm-ups that fail, and recipes without a runtime. */
public interface WarmContract extends Contract {
  @Test
  default void aFailedImportIsToldWithItsTraceback() {
    Failure failure = warmFailure(List.of("no_such_module_here"), "", Bench.SOON);
    assertThat(failure.kind()).isEqualTo(FailureKind.INVALID);
    assertThat(failure.message())
        .contains(Bench.TAG.text())
        .contains("no_such_module_here")
        .contains("ModuleNotFoundError");
  }

  @Test
  default void aFailedScriptIsToldWithItsTraceback() {
    Failure failure = warmFailure(List.of(), "def f():\n  return 1 / 0\nf()", Bench.SOON);
    assertThat(failure.kind()).isEqualTo(FailureKind.INVALID);
    assertThat(failure.message()).contains("ZeroDivisionError");
    assertThat(failure.detail()).contains("return 1 / 0").contains("warm.py");
  }

  @Test
  default void anEndlessWarmUpIsATimeout() {
    Failure failure =
        warmFailure(
            List.of(), "print('going', flush=True)\nwhile True: pass", Duration.ofMillis(1500));
    assertThat(failure.kind()).isEqualTo(FailureKind.TIMEOUT);
  }

  @Test
  default void aWarmUpThatCrashesIsAFailure() {
    Failure failure = warmFailure(List.of(), "import os; os.kill(os.getpid(), 11)", Bench.SOON);
    assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
    assertThat(failure.message()).containsAnyOf("SIGSEGV", "signal 11");
  }

  @Test
  default void aThreadThatOutlivesTheWarmUpIsRefusedByName() {
    String script =
        """
        import threading, time
        threading.Thread(target=time.sleep, args=(99,), name="lingering", daemon=True).start()
        """;
    Failure failure = warmFailure(List.of(), script, Bench.SOON);
    assertThat(failure.message() + failure.detail()).contains("lingering");
  }

  @Test
  default void aMissingInterpreterIsAFailure() {
    var plan = bench().plan(Bench.warmUp());
    var missing =
        new dev.forkd.engine.WarmPlan(
            plan.tag(),
            plan.image(),
            Optional.of(new Recipe.RuntimeSpec("python", "/usr/bin/no-python")),
            plan.warm(),
            plan.workdir(),
            plan.env(),
            plan.limits(),
            plan.syscalls(),
            plan.network());
    Failure failure = Contract.failureOf(() -> bench().engine().warm(missing, _ -> {}));
    assertThat(failure.message()).contains("/usr/bin/no-python");
  }

  @Test
  default void whatAWarmUpWritesIsInEveryChildAndThereItsOwn() {
    String script =
        """
        for path in "/root/filled", "/tmp/there":
            with open(path, "w") as file:
                file.write("warm")
        """;
    var plan = bench().plan(Bench.warm(List.of(), script, Optional.empty(), Bench.SOON));
    List<Guest> two = bench().fork(bench().warm(plan), 2, Limits.DEFAULT);
    String look = "cat /root/filled /tmp/there";
    assertThat(Bench.sh(two.get(0), look + "; echo mine > /root/filled; rm /tmp/there").stdout())
        .isEqualTo("warmwarm");
    assertThat(Bench.sh(two.get(1), look).stdout()).isEqualTo("warmwarm");
  }

  @Test
  default void outputOfAWarmUpIsPassedOnLineByLine() {
    List<String> lines = new ArrayList<>();
    String script =
        "import os, sys\nprint('one', flush=True)\nos.write(2, b'tw')\nos.write(2, b'o\\nthree')";
    bench()
        .engine()
        .warm(bench().plan(Bench.warm(List.of(), script, Optional.empty(), Bench.SOON)), lines::add)
        .close();
    assertThat(lines).contains("one", "two").anySatisfy(l -> assertThat(l).startsWith("three"));
  }

  @Test
  default void aRecipeWithoutARuntimeStillExecs() {
    Template plain = bench().warm(bench().planWithoutRuntime());
    Guest guest = bench().fork(plain, 2, Limits.DEFAULT).getFirst();
    assertThat(guest.ping(Bench.SOON)).isEqualTo(new Pong(Pong.RuntimeState.NONE, "{}"));
    assertThat(Bench.sh(guest, "echo $RECIPE").stdout()).isEqualTo("yes\n");
    assertThat(Contract.failureOf(() -> guest.eval("1", Bench.SOON)).kind())
        .isEqualTo(FailureKind.CONFLICT);
  }

  private Failure warmFailure(List<String> imports, String script, Duration deadline) {
    Recipe.WarmUp warm = Bench.warm(imports, script, Optional.empty(), deadline);
    return Contract.failureOf(() -> bench().engine().warm(bench().plan(warm), _ -> {}));
  }
}
