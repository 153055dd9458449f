package dev.forkd.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.forkd.json.Json;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class ProgramStreamTest {
  private static final SandboxId ID = new SandboxId("sb-1-0000");
  private static final Duration SECOND = Duration.ofSeconds(1);
  private static final String STARTED =
      "{\"event\":\"started\",\"program\":\"p1\",\"pid\":5,\"warm\":true}";

  @Test
  void programStreamsOutputInputAndSignals() throws IOException {
    List<String> got = new ArrayList<>();
    CountDownLatch inputDone = new CountDownLatch(1);
    StubServer.Script script =
        (call, out) -> {
          if (call.line().endsWith("/exec")) {
            StubServer.stream(out);
            StubServer.event(out, STARTED);
            StubServer.event(out, "{\"event\":\"stdout\",\"data\":\"hé\"}");
            StubServer.event(out, ""); // a sign of life
            StubServer.event(out, "{\"event\":\"stderr\",\"data_b64\":\"/wA=\"}");
            out.flush();
            try {
              inputDone.await();
            } catch (InterruptedException e) {
              throw new IOException(e);
            }
            StubServer.event(
                out,
                "{\"event\":\"exit\",\"exit_code\":-15,\"signal\":15,\"timed_out\":false,"
                    + "\"duration_ms\":1.5}");
            StubServer.end(out);
            return;
          }
          if (call.line().endsWith("/stdin")) {
            got.addAll(call.chunks());
          } else {
            got.add(call.body());
            inputDone.countDown();
          }
          StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "");
        ProgramStream program = client.start(ID, "exec", Json.object(), SECOND)) {
      assertThat(program.pid()).isEqualTo(5);
      assertThat(program.warm()).isTrue();
      assertThat(program.next(SECOND))
          .isInstanceOfSatisfying(
              ProgramEvent.Output.class,
              o -> assertThat(new String(o.bytes(), StandardCharsets.UTF_8)).isEqualTo("hé"));
      assertThat(program.next(SECOND))
          .isInstanceOfSatisfying(
              ProgramEvent.Output.class,
              o -> {
                assertThat(o.stream()).isEqualTo(2);
                assertThat(o.bytes()).containsExactly(0xff, 0);
              });
      program.write("abc".getBytes(StandardCharsets.UTF_8), 1, 2);
      program.closeInput();
      program.signal(15);
      assertThat(program.next(SECOND))
          .isInstanceOfSatisfying(
              ProgramEvent.Exited.class,
              e -> {
                assertThat(e.status().shellCode()).isEqualTo(143);
                assertThat(e.status().duration()).isEqualTo(Duration.ofNanos(1_500_000));
              });
    }
    assertThat(got).containsExactly("bc", "{\"signal\":15}");
  }

  @Test
  void programErrorIsThrownAndClosingHangsUp() throws Exception {
    CountDownLatch hungUp = new CountDownLatch(1);
    StubServer.Script script =
        (call, out) -> {
          StubServer.stream(out);
          StubServer.event(out, STARTED);
          out.flush();
          try {
            assertThat(call.in().read()).isNegative();
          } finally {
            hungUp.countDown(); // a reset is one as well: not everything that we sent was read
          }
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      client.start(ID, "call", Json.object(), SECOND).close();
      hungUp.await();
      assertThat(hungUp.getCount()).isZero();
    }
    StubServer.Script failing =
        (call, out) -> {
          StubServer.stream(out);
          StubServer.event(out, STARTED);
          StubServer.event(out, "{\"event\":\"error\",\"error\":\"gone\",\"kind\":\"engine\"}");
          StubServer.end(out);
        };
    try (StubServer server = new StubServer(failing);
        ForkdClient client = new ForkdClient(server.endpoint, "");
        ProgramStream program = client.start(ID, "call", Json.object(), SECOND)) {
      assertThat(catchThrowableOfType(ForkdException.class, () -> program.next(SECOND)))
          .hasMessage("gone");
    }
  }
}
