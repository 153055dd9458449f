package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Limits;
import dev.forkd.model.ProgramSpec.Program;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Limits hold, and who runs into one is told. */
public interface LimitContract extends Contract {
  long MIB = 1 << 20;

  @Test
  default void memoryIsLimited() {
    Assumptions.assumeTrue(
        bench().engine().capabilities().memoryLimit(), "this host has no memory controller");
    Guest guest = limited(Limits.DEFAULT.withMemoryBytes(64 * MIB));
    List<String> hog = List.of("/usr/bin/python3", "-c", "x = b'x' * 300_000_000");
    Ran ran = Bench.run(guest, new Program.Exec(hog));
    assertThat(ran.exitCode()).isEqualTo(-9);
    assertThat(ran.status().outOfMemory()).isTrue();
    assertThat(Bench.sh(guest, "kill -9 $$").status().outOfMemory()).isFalse();
    EvalResult result = guest.eval("x = b'x' * 300_000_000", Bench.SOON);
    assertThat(result.error()).containsAnyOf("SIGKILL", "MemoryError", "out of memory");
    assertThat(Bench.sh(guest, "echo alive").stdout()).isEqualTo("alive\n");
    assertThat(Bench.eval(bench().fork(), "len(b'x' * 100_000_000)")).isEqualTo("100000000");
  }

  @Test
  default void processesAreLimited() {
    Assumptions.assumeTrue(
        bench().engine().capabilities().pidsLimit(), "this host has no pids controller");
    Limits d = Limits.DEFAULT;
    Guest guest = limited(new Limits(0, 24, 0, d.diskBytes(), d.tmpBytes(), d.shmBytes(), 0, 0));
    String bomb =
        """
        import os, time
        n = 0
        try:
            while n < 100:
                if os.fork() == 0:
                    time.sleep(100)
                n += 1
        except BlockingIOError:
            print(n)
        """;
    Ran ran = Bench.run(guest, new Program.Exec(List.of("/usr/bin/python3", "-c", bomb)));
    assertThat(Integer.parseInt(ran.stdout().strip())).isBetween(10, 24);
    assertThat(Bench.sh(bench().fork(), "echo sibling").stdout()).isEqualTo("sibling\n");
  }

  @Test
  default void diskTmpAndShmAreLimited() {
    Limits limits = new Limits(0, 0, 0, 8 * MIB, 4 * MIB, 2 * MIB, 0, 0);
    Guest guest = limited(limits);
    for (String file : List.of("/opt/x", "/tmp/x", "/dev/shm/x")) {
      Ran ran = Bench.sh(guest, "head -c 20000000 /dev/zero > " + file);
      assertThat(ran.exitCode()).as(file).isNotZero();
      assertThat(ran.stderr()).as(file).contains("No space left");
    }
    assertThat(Bench.sh(guest, "rm /opt/x && echo room > /opt/y && cat /opt/y").stdout())
        .isEqualTo("room\n");
  }

  /** By the recipe: see {@link Bench}, whose template has such a limit. */
  @Test
  default void openFilesAreLimited() {
    Guest guest = bench().fork();
    String most = Long.toString(Bench.OPEN_FILES);
    assertThat(Bench.sh(guest, "ulimit -Sn; ulimit -Hn").stdout())
        .isEqualTo(most + "\n" + most + "\n");
    assertThat(Bench.sh(guest, "ulimit -n 100000").exitCode()).isNotZero();
    String limits = "__import__('resource').getrlimit(__import__('resource').RLIMIT_NOFILE)";
    assertThat(Bench.eval(guest, limits)).isEqualTo("(" + most + ", " + most + ")");
    String opens =
        """
        import os
        n = 0
        try:
            while True:
                os.dup(0)
                n += 1
        except OSError as e:
            print(e.errno, n)
        """;
    Program call = new Program.CallCode(opens, List.of());
    String[] told = Bench.run(guest, call).stdout().strip().split(" ");
    assertThat(told[0]).isEqualTo("24"); // EMFILE
    assertThat(Long.parseLong(told[1])).isBetween(Bench.OPEN_FILES / 2, Bench.OPEN_FILES);
    assertThat(Bench.sh(guest, "echo alive").stdout()).isEqualTo("alive\n");
  }

  @Test
  default void systemCallsThatTheRecipeAsksForAreLetThrough() {
    Guest guest = bench().fork();
    String reads =
        """
        import ctypes, os
        class Part(ctypes.Structure):
            _fields_ = [("at", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]
        def copy(name):
            ours, theirs = ctypes.create_string_buffer(4), ctypes.create_string_buffer(b"abc")
            parts = [Part(ctypes.addressof(buffer), 4) for buffer in (ours, theirs)]
            call = getattr(ctypes.CDLL(None, use_errno=True), name)
            copied = call(os.getpid(), ctypes.byref(parts[0]), 1, ctypes.byref(parts[1]), 1, 0)
            return ours.value if copied == 4 else ctypes.get_errno()
        """;
    String ask = "copy('%s'), copy('process_vm_writev')".formatted(Bench.ASKED_CALL);
    Bench.eval(guest, reads);
    assertThat(Bench.eval(guest, ask)).isEqualTo("(b'abc', 1)");
    String program = reads + "print((" + ask + "))\n";
    List<String> cold = List.of("/usr/bin/python3", "-c", program);
    for (Program one : List.of(new Program.Exec(cold), new Program.CallCode(program, List.of()))) {
      assertThat(Bench.run(guest, one).stdout()).isEqualTo("(b'abc', 1)\n");
    }
  }

  private Guest limited(Limits limits) {
    return bench().fork(bench().template(), 1, limits).getFirst();
  }
}
