package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A batch that does not fit is refused with the numbers, and leaves nothing. */
class AdmissionTest {
  @TempDir Path dir;

  private static List<SandboxInfo> fork(ServiceFixture service, int n, OptionalLong mib) {
    return service.forkd.handle(new Request.Fork(new Tag("a"), n, mib));
  }

  @Test
  void aBatchThatFitsTakesAndGivesBackItsShare() {
    try (ServiceFixture service = ServiceFixture.open(dir, 1000)) {
      service.create("a");
      List<SandboxInfo> first = fork(service, 3, OptionalLong.of(300));
      assertThat(service.forkd.metricsText())
          .contains("forkd_memory_budget_bytes " + (1000L << 20))
          .contains("forkd_memory_reserved_bytes " + (900L << 20))
          .contains("forkd_admissions_refused_total 0");
      assertThatThrownBy(() -> fork(service, 2, OptionalLong.of(300)))
          .isInstanceOf(ForkdException.class)
          .hasMessageContaining("2 x 300 MiB are 600 MiB at worst")
          .hasMessageContaining("budget of 1000 MiB 900 are reserved and 100 are left")
          .extracting(e -> ((ForkdException) e).kind())
          .isEqualTo(FailureKind.EXHAUSTED);
      assertThat(service.registry.sandboxes()).hasSize(3);
      assertThat(service.forkd.metricsText()).contains("forkd_admissions_refused_total 1");
      service.forkd.handle(new Request.Destroy(first.getFirst().id()));
      assertThat(fork(service, 1, OptionalLong.of(400))).hasSize(1);
    }
  }

  @Test
  void withABudgetEverySandboxNeedsALimit() {
    try (ServiceFixture service = ServiceFixture.open(dir, 1000)) {
      service.create("a");
      assertThatThrownBy(() -> fork(service, 1, OptionalLong.empty()))
          .hasMessageContaining("give its recipe limits.memory")
          .extracting(e -> ((ForkdException) e).kind())
          .isEqualTo(FailureKind.INVALID);
      assertThat(service.registry.sandboxes()).isEmpty();
    }
  }
}
