package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A running sandbox becomes a snapshot. Skipped where the engine says UNSUPPORTED. */
public interface BranchContract extends Contract {
  /** Branches, and waits until the snapshot can be forked. */
  default Template branch(Guest guest, BranchMode mode) {
    Branch branch = take(guest, mode);
    assertThat(branch.pause()).isBetween(Duration.ZERO, Bench.SOON);
    try {
      return bench()
          .keep(branch.written().toCompletableFuture().get(20, TimeUnit.SECONDS).template());
    } catch (Exception e) {
      throw new AssertionError("the branch was not written", e);
    }
  }

  /** The branch as it is when the call returns. */
  default Branch take(Guest guest, BranchMode mode) {
    try {
      Path dir =
          Files.createTempDirectory(
              "branch",
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      dir.toFile().deleteOnExit();
      return guest.branch(new BranchPlan(new Tag("branched"), dir, mode, Bench.SOON));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (ForkdException e) {
      Assumptions.assumeFalse(e.kind() == FailureKind.UNSUPPORTED, e.getMessage());
      throw e;
    }
  }

  @ParameterizedTest
  @EnumSource
  default void grandchildrenGoOnWhereTheSourceWas(BranchMode mode) {
    Guest source = bench().fork();
    Bench.eval(source, "x = [1]; n = len(warmed)");
    Bench.sh(source, "echo before > /workdir/file; echo before > /tmp/file");
    Template branched = branch(source, mode);
    Bench.eval(source, "x.append('source')");
    Bench.sh(source, "echo after > /workdir/file; echo after > /tmp/file");
    List<Guest> children = bench().fork(branched, 3, Limits.DEFAULT);
    Bench.eval(children.get(0), "x.append('first')");
    Bench.sh(children.get(0), "echo first > /workdir/file; echo first > /tmp/file");
    assertThat(Bench.eval(children.get(1), "x, n")).isEqualTo("([1], 1)");
    assertThat(Bench.sh(children.get(2), "cat /workdir/file /tmp/file").stdout())
        .isEqualTo("before\nbefore\n");
    assertThat(Bench.eval(source, "x")).isEqualTo("[1, 'source']");
    assertThat(Bench.sh(source, "cat /workdir/file /tmp/file").stdout())
        .isEqualTo("after\nafter\n");
  }

  @Test
  default void grandchildrenAreStrangersToOneAnother() {
    Guest source = bench().fork();
    Bench.eval(source, "import random, ssl, tempfile, uuid; random.random(), ssl.RAND_bytes(9)");
    Bench.eval(source, "tempfile.mktemp(), uuid.uuid1()");
    List<Guest> children = bench().fork(branch(source, BranchMode.FULL), 3, Limits.DEFAULT);
    Bench.assertAllDiffer(children, "random.random()");
    Bench.assertAllDiffer(children, "ssl.RAND_bytes(9)");
    Bench.assertAllDiffer(children, "tempfile.mktemp()");
    Bench.assertAllDiffer(children, "uuid.uuid1().node");
    Bench.assertAllDiffer(children, "open('/etc/machine-id').read()");
    Bench.assertAllDiffer(children, "open('/etc/hostname').read()");
    children.forEach(child ->
        assertThat(Bench.eval(child, "open('/etc/hostname').read().strip()"))
            .isEqualTo("'" + child.id().text() + "'"));
    assertThat(Bench.sh(children.getFirst(), "hostname").stdout().strip())
        .isEqualTo(children.getFirst().id().text());
  }

  @Test
  default void aBranchOutlivesItsSource() {
    Guest source = bench().fork();
    Bench.eval(source, "x = 7");
    Template branched = branch(source, BranchMode.FULL);
    source.close();
    Guest child = bench().fork(branched, 1, Limits.DEFAULT).getFirst();
    assertThat(Bench.eval(child, "x")).isEqualTo("7");
  }

  @Test
  default void aBranchOfABranchOfABranch() {
    Guest guest = bench().fork();
    Bench.eval(guest, "x = []");
    for (int i = 0; i < 3; i++) {
      Bench.eval(guest, "x.append(" + i + ")");
      Bench.sh(guest, "echo %d >> /workdir/log".formatted(i));
      guest = bench().fork(branch(guest, BranchMode.DIFF), 1, Limits.DEFAULT).getFirst();
    }
    assertThat(Bench.eval(guest, "x")).isEqualTo("[0, 1, 2]");
    assertThat(Bench.sh(guest, "cat /workdir/log").stdout()).isEqualTo("0\n1\n2\n");
  }

  @Test
  default void largeStateIsWhole() {
    Guest source = bench().fork();
    String digest = "import hashlib; hashlib.sha256(big).hexdigest()";
    Bench.eval(source, "import os; big = os.urandom(30_000_000)");
    Guest child = bench().fork(branch(source, BranchMode.FULL), 1, Limits.DEFAULT).getFirst();
    assertThat(Bench.eval(child, digest)).isEqualTo(Bench.eval(source, digest));
  }

  @Test
  default void severalBranchesOfOneSourceAtATime() throws Exception {
    Guest source = bench().fork();
    Bench.eval(source, "x = 7");
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Template>> branches =
          IntStream.range(0, 3)
              .mapToObj(_ -> threads.submit(() -> branch(source, BranchMode.FULL)))
              .toList();
      for (Future<Template> branched : branches) {
        Guest child = bench().fork(branched.get(), 1, Limits.DEFAULT).getFirst();
        assertThat(Bench.eval(child, "x")).isEqualTo("7");
      }
    }
  }

  @Test
  default void programsOfAGrandchildStartAsInAnySandbox() {
    Guest source = bench().fork();
    Bench.eval(source, "leaked = 1");
    Guest child = bench().fork(branch(source, BranchMode.FULL), 1, Limits.DEFAULT).getFirst();
    assertThat(Bench.sh(child, "cd /workdir && pwd && echo $RECIPE").stdout())
        .isEqualTo("/workdir\nyes\n");
    String code = "import json; print('leaked' in globals(), json.__name__)";
    assertThat(Bench.run(child, new Program.CallCode(code, List.of())).stdout())
        .isEqualTo("False json\n");
  }

  @Test
  default void theEndOfTheSourceIsTold() {
    Guest source = bench().fork();
    Bench.eval(source, "1");
    source.close();
    Failure failure = Contract.failureOf(() -> take(source, BranchMode.FULL));
    assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
  }
}
