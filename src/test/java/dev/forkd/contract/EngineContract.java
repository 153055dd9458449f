package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.BranchMode;
import java.time.Duration;
import java.util.Optional;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.opentest4j.TestAbortedException;

/**
 * The suite that every engine passes unchanged. A subclass says how to make one and what it leaves
 * on the host; the tests are in the interfaces, one for each part of the contract.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
public abstract class EngineContract
    implements ForkContract,
        IdentityContract,
        ExecContract,
        CallContract,
        EvalContract,
        FileContract,
        LimitContract,
        EndContract,
        BranchContract,
        WarmContract,
        HookContract {
  private Optional<Bench> bench = Optional.empty();
  private Object before = "";

  /** An engine of this kind and the host's root as its image; skips the suite when it cannot. */
  protected abstract Bench makeBench() throws Exception;

  /**
   * What the engine holds on this host at the moment: processes, mounts, sockets, descriptors.
   * Compared for equality before and after each test, for a while.
   */
  protected abstract Object holdings() throws Exception;

  @Override
  public Bench bench() {
    return bench.orElseThrow();
  }

  @BeforeAll
  void make() throws Exception {
    bench = Optional.of(makeBench());
    // The first fork makes what lives as long as the engine does, and the first branch what lives
    // as long as the template.
    Guest guest = bench().fork();
    try {
      branch(guest, BranchMode.DIFF);
    } catch (TestAbortedException e) {
      // This engine has no branches.
    }
    bench().closeOpened();
  }

  @BeforeEach
  void look() throws Exception {
    before = holdings();
  }

  @AfterEach
  void nothingIsLeft() {
    bench().closeOpened();
    Awaitility.await("leak check")
        .atMost(Bench.SOON)
        .pollDelay(Duration.ZERO)
        .untilAsserted(() -> assertThat(holdings()).isEqualTo(before));
  }

  @AfterAll
  void unmake() {
    bench.ifPresent(Bench::close);
  }
}
