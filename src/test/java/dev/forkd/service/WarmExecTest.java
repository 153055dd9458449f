package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class WarmExecTest {
  private static final String PYTHON = "/usr/bin/python3";

  private static ProgramSpec spec(Map<String, String> env, String user, String... args) {
    return new ProgramSpec(
        new Program.Exec(List.of(args)), env, "/tmp", user, true, Duration.ofSeconds(3));
  }

  private static WarmExec.Choice choose(String line) {
    return WarmExec.choose(spec(Map.of(), "", line.split(" ")), PYTHON);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "python3 -m pytest -q tests | CallModule[module=pytest, args=[-q, tests]]",
        "python -m json.tool        | CallModule[module=json.tool, args=[]]",
        "/usr/bin/python3 -c pass x | CallCode[code=pass, args=[x]]",
        "python3 run.py --fast a    | CallFile[path=run.py, args=[--fast, a]]",
        "python3 /a/b/run.py        | CallFile[path=/a/b/run.py, args=[]]",
        "python3 -m pipeline        | CallModule[module=pipeline, args=[]]",
      })
  void runsWarm(String line, String program) {
    assertThat(choose(line))
        .isInstanceOfSatisfying(
            WarmExec.Choice.Warm.class, warm -> assertThat(warm.program()).hasToString(program));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "python3",
        "python3 -",
        "python3 -m",
        "python3 -c",
        "python3 -V",
        "python3 -u run.py",
        "python3 -O -m pytest",
        "python3 -I -c pass",
        "python3 -mpytest",
        "python3 -cpass",
        "python3 -X dev run.py",
        "python3 run",
        "python3 dir/",
        "python3 app.zip",
        "python3 run.pyc",
        "python3 -m pip install x",
        "python3 -m pip._internal",
        "python3 -m venv .v",
        "python3 -m ensurepip",
        "python3 -m pdb run.py",
        "python3.11 run.py",
        "python2 run.py",
        "/usr/local/bin/python3 run.py",
        "./python3 run.py",
        "pytest -q",
        "sh -c python3",
      })
  void runsCold(String line) {
    assertThat(choose(line)).isInstanceOf(WarmExec.Choice.Cold.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "PYTHONUNBUFFERED",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_MAX_THREADS",
        "MALLOC_ARENA_MAX",
        "GLIBC_TUNABLES",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "PATH"
      })
  void whatIsReadAtStartUpNeedsANewProcess(String variable) {
    assertThat(
            WarmExec.choose(spec(Map.of("A", "1", variable, "x"), "", "python3", "a.py"), PYTHON))
        .isInstanceOfSatisfying(
            WarmExec.Choice.Cold.class, cold -> assertThat(cold.why()).contains(variable));
  }

  @ParameterizedTest
  @ValueSource(strings = {"HOME", "TZ", "LANGUAGES", "MY_PYTHONPATH", "PATHS", "python"})
  void otherVariablesDoNot(String variable) {
    assertThat(WarmExec.choose(spec(Map.of(variable, "x"), "", "python3", "a.py"), PYTHON))
        .isInstanceOf(WarmExec.Choice.Warm.class);
  }

  @Test
  void anotherUserNeedsANewProcess() {
    assertThat(WarmExec.choose(spec(Map.of(), "nobody", "python3", "a.py"), PYTHON))
        .isInstanceOf(WarmExec.Choice.Cold.class);
  }

  @Test
  void aCallStaysWhatItIs() {
    Program call = new Program.CallModule("pip", List.of("x"));
    assertThat(WarmExec.choose(ProgramSpec.of(call, Duration.ZERO), PYTHON))
        .isEqualTo(new WarmExec.Choice.Warm(call));
  }
}
