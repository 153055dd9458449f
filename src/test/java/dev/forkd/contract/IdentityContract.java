package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.Limits;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A child is itself: names, ids and randomness are its own. */
public interface IdentityContract extends Contract {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "__import__('uuid').uuid4()",
        "__import__('uuid').uuid1()",
        "__import__('random').random()",
        "__import__('secrets').token_hex(8)",
        "__import__('os').urandom(8)",
        "__import__('tempfile').mktemp()",
        "__import__('socket').gethostname()",
        "open('/etc/machine-id').read()",
        "open('/etc/hostname').read()",
        "open('/proc/sys/kernel/random/uuid').read()",
      })
  default void childrenDifferIn(String expression) {
    Bench.assertAllDiffer(bench().fork(4), expression);
  }

  @Test
  default void childrenDifferInNumpysGlobalRandomState() {
    List<Guest> guests = bench().fork(4);
    boolean installed =
        Bench.eval(guests.getFirst(), "bool(__import__('importlib.util').util.find_spec('numpy'))")
            .equals("True");
    Assumptions.assumeTrue(installed, "numpy is not installed: apt-get install python3-numpy");
    Bench.assertAllDiffer(guests, "__import__('numpy').random.rand()");
  }

  @Test
  default void callsOfOneChildDifferToo() {
    Guest guest = bench().fork();
    var code =
        new dev.forkd.model.ProgramSpec.Program.CallCode(
            "import random; print(random.random())", List.of());
    assertThat(Bench.run(guest, code).stdout()).isNotEqualTo(Bench.run(guest, code).stdout());
  }

  @Test
  default void aSeededTemplateGivesEveryChildTheSameRandomness() {
    Template seeded =
        bench().warm(bench().plan(Bench.warm(List.of("random"), "", Optional.of(42L), Bench.SOON)));
    List<Guest> guests = bench().fork(seeded, 2, Limits.DEFAULT);
    String first = Bench.eval(guests.get(0), "__import__('random').random()");
    assertThat(Bench.eval(guests.get(1), "__import__('random').random()")).isEqualTo(first);
    Bench.assertAllDiffer(guests, "__import__('secrets').token_hex(8)");
  }

  @Test
  default void hostNameAndMachineIdAreThePlans() {
    ForkPlan plan = bench().batch(1, Limits.DEFAULT);
    Guest guest = bench().guest(bench().template().fork(plan).getFirst());
    ForkPlan.Child child = plan.children().getFirst();
    assertThat(Bench.sh(guest, "uname -n; cat /etc/hostname /etc/machine-id; echo $HOSTNAME"))
        .extracting(Ran::stdout)
        .isEqualTo("%1$s\n%1$s\n%2$s\n%1$s\n".formatted(child.id().text(), child.machineId()));
  }

  @Test
  default void theHostsProcessesAndSecretsAreOutOfSight() {
    Guest guest = bench().fork();
    // The agent, the runtime, the shell and ls.
    assertThat(Bench.sh(guest, "ls /proc | grep -c '^[0-9]'").stdout().strip()).isIn("3", "4", "5");
    assertThat(Bench.sh(guest, "ls -A /root").stdout()).isEmpty();
    assertThat(Bench.sh(guest, "cat /etc/shadow").exitCode()).isNotZero();
    assertThat(Bench.sh(guest, "grep -c ^Cap.*0000000000000000 /proc/self/status").stdout())
        .isEqualTo("5\n");
  }

  @Test
  default void nothingOfTheWarmingShowsInTheUsersView() {
    Guest guest = bench().fork();
    assertThat(Bench.eval(guest, "[p for p in __import__('sys').path if 'forkd' in p]"))
        .isEqualTo("[]");
    assertThat(Bench.sh(guest, "env").stdout())
        .contains("RECIPE=yes\n", "HOME=/root\n", "LANG=C.UTF-8\n", "OMP_NUM_THREADS=1\n")
        .doesNotContain("PYTHONPATH", "FORKD");
    assertThat(Bench.eval(guest, "__import__('os').environ['RECIPE'], __import__('os').getcwd()"))
        .isEqualTo("('yes', '/workdir')");
  }
}
