package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.Recipe;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The author's code around the fork: it runs, once in every child, and its failure is final. */
public interface HookContract extends Contract {
  String BEFORE = "kept = 'one for all'";
  String AFTER =
      """
      import random, time
      identity = open("/etc/machine-id").read().strip()
      token = random.random()
      assert not identity.startswith("dead"), "not into this one"
      while identity.startswith("1a7e"):
          time.sleep(0.01)
      """;

  @Test
  default void hooksRunInEveryChildAndAFailureIsThatChildsOnly() {
    Duration deadline = bench().moment().multipliedBy(10);
    Recipe.Hooks hooks = new Recipe.Hooks(BEFORE, AFTER, deadline);
    Template template = bench().warm(bench().plan(Bench.warm("import random", hooks)));
    List<ForkPlan.Child> children =
        List.of(Bench.child(), with("dead"), Bench.child(), with("1a7e"));
    List<ForkOutcome> outcomes =
        template.fork(new ForkPlan(children, Limits.DEFAULT, Bench.SOON.multipliedBy(3)));
    Guest first = bench().guest(outcomes.get(0));
    Guest third = bench().guest(outcomes.get(2));
    assertThat(Bench.eval(first, "identity, kept"))
        .isEqualTo("('%s', 'one for all')".formatted(children.getFirst().machineId()));
    Bench.assertAllDiffer(List.of(first, third), "token");
    assertThat(failureOf(outcomes.get(1)))
        .contains("after_fork hook of the recipe failed: AssertionError: not into this one");
    assertThat(failureOf(outcomes.get(3)))
        .contains(
            "after_fork hook of the recipe took longer than its deadline of %d ms"
                .formatted(deadline.toMillis()));
  }

  @Test
  default void aHookThatFailsBeforeTheSnapshotFailsTheWarmUp() {
    Recipe.Hooks hooks = new Recipe.Hooks("1 / 0", "", Duration.ofSeconds(2));
    var failure = Contract.failureOf(() -> bench().warm(bench().plan(Bench.warm("x = 1", hooks))));
    assertThat(failure.kind()).isEqualTo(FailureKind.INVALID);
    assertThat(failure.message())
        .contains("before_snapshot hook of the recipe failed: ZeroDivisionError");
  }

  private static ForkPlan.Child with(String start) {
    ForkPlan.Child child = Bench.child();
    return new ForkPlan.Child(child.id(), start + child.machineId().substring(start.length()));
  }

  private static String failureOf(ForkOutcome outcome) {
    return switch (outcome) {
      case ForkOutcome.Failed failed -> failed.failure().message();
      case ForkOutcome.Forked forked -> throw new AssertionError(forked.id() + " was handed out");
    };
  }
}
