package dev.forkd.fanout;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class CapacityTest {
  @Test
  void workersAreBoundByProcessorsAndByMemory() {
    assertThat(new Capacity(8, 100L << 30).workers(1 << 20)).isEqualTo(8);
    assertThat(new Capacity(8, 1000).workers(200)).isEqualTo(4); // a fifth is left alone
    assertThat(new Capacity(8, 1000).workers(5000)).isEqualTo(1);
    assertThat(new Capacity(8, 0).workers(0)).isEqualTo(1);
  }

  @Test
  void thisMachineHasSome() {
    Capacity now = Capacity.now();
    assertThat(now.processors()).isEqualTo(Runtime.getRuntime().availableProcessors());
    assertThat(now.bytes()).isBetween(1L << 20, 1L << 50);
  }
}
