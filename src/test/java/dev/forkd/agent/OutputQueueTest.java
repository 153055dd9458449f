package dev.forkd.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class OutputQueueTest {
  @Test
  void singleBytesArePutTogether() {
    OutputQueue queue = new OutputQueue(2, 1_000);
    for (int i = 0; i < 500; i++) {
      assertThat(queue.add(1, new byte[] {(byte) i})).isTrue();
    }
    assertThat(queue.take().orElseThrow().bytes()).hasSize(500);
    assertThat(queue.take()).isEmpty();
  }

  @Test
  void theOrderOfStreamsIsKept() {
    OutputQueue queue = new OutputQueue(2, 1_000);
    queue.add(1, new byte[] {1});
    queue.add(2, new byte[] {2});
    queue.add(1, new byte[] {3});
    assertThat(queue.take().orElseThrow().stream()).isEqualTo(1);
    assertThat(queue.take().orElseThrow().stream()).isEqualTo(2);
    assertThat(queue.take().orElseThrow().bytes()).containsExactly(3);
  }

  @Test
  void creditIsSpentAndComesBackByTaking() {
    OutputQueue queue = new OutputQueue(1, 100);
    assertThat(queue.add(1, new byte[100])).isTrue();
    assertThat(queue.add(1, new byte[1])).isFalse();
    assertThat(queue.take().orElseThrow().grant()).isEqualTo(100);
    assertThat(queue.add(1, new byte[100])).isTrue();
  }

  @Test
  void nothingIsLostOrReorderedWithinAStreamHoweverItAlternates() {
    Random random = new Random(1);
    OutputQueue queue = new OutputQueue(2, 50_000);
    ByteArrayOutputStream[] sent = {null, new ByteArrayOutputStream(), new ByteArrayOutputStream()};
    ByteArrayOutputStream[] got = {null, new ByteArrayOutputStream(), new ByteArrayOutputStream()};
    for (int i = 0; i < 300_000; i++) {
      if (random.nextInt(10) < 9) {
        int stream = 1 + random.nextInt(2);
        byte[] bytes = new byte[1 + random.nextInt(3)];
        random.nextBytes(bytes);
        if (queue.add(stream, bytes)) {
          sent[stream].writeBytes(bytes);
        }
      } else {
        queue.take().ifPresent(taken -> got[taken.stream()].writeBytes(taken.bytes()));
      }
    }
    for (Optional<OutputQueue.Taken> t = queue.take(); t.isPresent(); t = queue.take()) {
      got[t.get().stream()].writeBytes(t.get().bytes());
    }
    assertThat(sent[1].size()).isGreaterThan(100_000);
    assertThat(got[1].toByteArray()).isEqualTo(sent[1].toByteArray());
    assertThat(got[2].toByteArray()).isEqualTo(sent[2].toByteArray());
  }
}
