package dev.forkd.service;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.DetachedOutput;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.ForkdException;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

final class OutputLogTest {
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final DetachedProgram.End END =
      new DetachedProgram.End.Exited(new ExitStatus(3, 0, false, false, Duration.ZERO));

  private final OutputLog log = new OutputLog();

  private DetachedOutput.Chunk chunk(long at) {
    return (DetachedOutput.Chunk) log.read(at, Duration.ZERO).orElseThrow();
  }

  private static String text(DetachedOutput.Chunk chunk) {
    return chunk.stream() + ":" + chunk.at() + ":" + new String(chunk.bytes(), UTF_8);
  }

  @Test
  void isReadFromAnyPosition() {
    log.add(1, "one".getBytes(UTF_8));
    log.add(1, "two".getBytes(UTF_8));
    log.add(2, "err".getBytes(UTF_8));
    assertThat(text(chunk(0))).isEqualTo("1:0:onetwo");
    assertThat(text(chunk(4))).isEqualTo("1:4:wo");
    assertThat(text(chunk(6))).isEqualTo("2:6:err");
    assertThat(log.read(9, Duration.ZERO)).isEmpty();
    assertThatThrownBy(() -> log.read(10, SOON))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("between 0 and 9");
    log.end(END);
    assertThat(log.read(9, Duration.ZERO)).contains(new DetachedOutput.Ended(END));
    assertThat(text(chunk(8))).isEqualTo("2:8:r");
  }

  @Test
  void whoWaitsIsWoken() throws Exception {
    CompletableFuture<DetachedOutput> next =
        CompletableFuture.supplyAsync(() -> log.read(0, SOON).orElseThrow());
    log.add(1, new byte[] {'x'});
    assertThat(text((DetachedOutput.Chunk) next.get(5, TimeUnit.SECONDS))).isEqualTo("1:0:x");
    CompletableFuture<DetachedOutput> end =
        CompletableFuture.supplyAsync(() -> log.read(1, SOON).orElseThrow());
    log.end(END);
    assertThat(end.get(5, TimeUnit.SECONDS)).isEqualTo(new DetachedOutput.Ended(END));
  }

  @Test
  void theLastPartIsKept() {
    Random random = new Random(7);
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    while (all.size() < 3 * OutputLog.MAX_BYTES) {
      byte[] bytes = new byte[1 + random.nextInt(65_536)];
      random.nextBytes(bytes);
      all.writeBytes(bytes);
      log.add(1, bytes);
    }
    OutputLog.Extent extent = log.extent();
    assertThat(extent.to()).isEqualTo(all.size());
    assertThat(extent.to() - extent.from())
        .isBetween(OutputLog.MAX_BYTES - 20_000L, (long) OutputLog.MAX_BYTES);
    ByteArrayOutputStream read = new ByteArrayOutputStream();
    assertThat(chunk(5).at()).isEqualTo(extent.from());
    for (long at = extent.from(); at < extent.to(); at = extent.from() + read.size()) {
      read.writeBytes(chunk(at).bytes());
    }
    byte[] whole = all.toByteArray();
    assertThat(read.toByteArray())
        .isEqualTo(java.util.Arrays.copyOfRange(whole, (int) extent.from(), whole.length));
  }

  @Test
  void singleBytesOfTwoStreamsInTurnAreBounded() {
    for (int i = 0; i < 100_000; i++) {
      log.add(1 + i % 2, new byte[] {'x'});
    }
    OutputLog.Extent extent = log.extent();
    assertThat(extent.to()).isEqualTo(100_000);
    assertThat(extent.to() - extent.from()).isBetween(1000L, 1024L);
  }
}
