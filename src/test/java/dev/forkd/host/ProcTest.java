package dev.forkd.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ProcTest {
  private static final long NOBODY = 1L << 30;

  @Test
  void memoryOfAProcessIsRead() {
    Proc.Memory memory = Proc.memory(ProcessHandle.current().pid());
    assertThat(memory.rss()).isGreaterThan(10 << 20);
    assertThat(memory.pss()).isBetween(1L, memory.rss());
    assertThat(memory.unique()).isBetween(1L, memory.rss());
    assertThatThrownBy(() -> Proc.memory(NOBODY))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.NOT_FOUND));
  }

  @Test
  void startTimesTellProcessesApart() {
    long self = Proc.startTime(ProcessHandle.current().pid()).orElseThrow();
    try (Subprocess child =
        Subprocess.start(List.of("/bin/cat"), Map.of(), Duration.ofSeconds(5))) {
      assertThat(Proc.startTime(child.pid()).orElseThrow()).isGreaterThan(self);
    }
    assertThat(Proc.startTime(NOBODY)).isEmpty();
  }

  @Test
  void signalsHaveNames() {
    assertThat(Signals.name(9)).isEqualTo("SIGKILL");
    assertThat(Signals.name(31)).isEqualTo("SIGSYS");
    assertThat(Signals.name(34)).isEqualTo("signal 34");
    assertThat(Signals.name(0)).isEqualTo("signal 0");
  }

  @Test
  void aWatchdogBitesOnlyWhoIsLate() throws Exception {
    CountDownLatch bitten = new CountDownLatch(1);
    CountDownLatch spared = new CountDownLatch(1);
    Watchdog.after(Duration.ofMillis(20), bitten::countDown);
    Watchdog.after(Duration.ofMillis(20), spared::countDown).close();
    assertThat(bitten.await(5, TimeUnit.SECONDS)).isTrue();
    assertThat(spared.await(60, TimeUnit.MILLISECONDS)).isFalse();
  }

  @Test
  void deadlinesDoNotOverflow() {
    assertThat(Deadline.after(Duration.ofSeconds(Long.MAX_VALUE)).passed()).isFalse();
    assertThat(Deadline.after(Duration.ZERO).passed()).isTrue();
    assertThat(Deadline.after(Duration.ZERO).left()).isEqualTo(Duration.ZERO);
    Deadline late = Deadline.after(Duration.ofSeconds(9));
    assertThat(Deadline.after(Duration.ZERO).later(late)).isEqualTo(late);
    assertThat(late.later(Deadline.after(Duration.ZERO))).isEqualTo(late);
  }
}
