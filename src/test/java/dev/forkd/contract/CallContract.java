package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Code in a fork of the warm runtime. */
public interface CallContract extends Contract {
  @Test
  default void modulesFilesAndCodeAreCalled() {
    Guest guest = bench().fork();
    assertThat(Bench.run(guest, new Program.CallModule("json.tool", List.of("--help"))).stdout())
        .contains("usage:");
    String script = "import sys; print(sys.argv, __name__); sys.exit(4)";
    guest.writeFile(
        "/workdir/a.py",
        0644,
        new ByteArrayInputStream(script.getBytes(StandardCharsets.UTF_8)),
        Bench.SOON);
    Ran file = Bench.run(guest, new Program.CallFile("a.py", List.of("x", "y z")));
    assertThat(file.stdout()).isEqualTo("['a.py', 'x', 'y z'] __main__\n");
    assertThat(file.exitCode()).isEqualTo(4);
    Ran code = Bench.run(guest, new Program.CallCode(script, List.of("x")));
    assertThat(code.stdout()).isEqualTo("['-c', 'x'] __main__\n");
    assertThat(code.exitCode()).isEqualTo(4);
  }

  @Test
  default void callsStartFromTheWarmStateAndLeaveNothingBehind() {
    Guest guest = bench().fork();
    String code =
        "import sys, json; print('json' in sys.modules, hasattr(json, 'mine')); json.mine = 1";
    for (int i = 0; i < 3; i++) {
      assertThat(Bench.run(guest, new Program.CallCode(code, List.of())).stdout())
          .isEqualTo("True False\n");
    }
  }

  @Test
  default void aCallThatDiesTakesNobodyWithIt() {
    Guest guest = bench().fork();
    assertThat(crash(guest, "import os; os.kill(os.getpid(), 11)")).isEqualTo(-11);
    assertThat(crash(guest, "import os; os._exit(9)")).isEqualTo(9);
    assertThat(crash(guest, "raise ValueError('x')")).isEqualTo(1);
    assertThat(Bench.eval(guest, "1 + 1")).isEqualTo("2");
  }

  private static int crash(Guest guest, String code) {
    return Bench.run(guest, new Program.CallCode(code, List.of())).exitCode();
  }

  @Test
  default void callsHaveStreamsSignalsAndTimeouts() {
    Guest guest = bench().fork();
    ProgramSpec upper =
        new ProgramSpec(
            new Program.CallCode(
                "import sys, os; sys.stdout.write(sys.stdin.read().upper());"
                    + " print(os.environ['MINE'], os.getcwd(), file=sys.stderr)",
                List.of()),
            Map.of("MINE", "two"),
            "/usr",
            "",
            true,
            Bench.SOON);
    try (RunningProgram program = guest.run(upper)) {
      byte[] input = "größe\n".getBytes(StandardCharsets.UTF_8);
      program.write(input, 0, input.length);
      program.closeInput();
      Ran ran = Ran.toItsEnd(program);
      assertThat(ran.stdout()).isEqualTo("GRÖSSE\n");
      assertThat(ran.stderr()).isEqualTo("two /usr\n");
    }
    ProgramSpec endless =
        ProgramSpec.of(new Program.CallCode("while True: pass", List.of()), bench().moment());
    Ran ran = Bench.run(guest, endless);
    assertThat(ran.status().timedOut()).isTrue();
    assertThat(ran.exitCode()).isEqualTo(-15);
  }
}
