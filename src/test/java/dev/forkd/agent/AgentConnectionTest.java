package dev.forkd.agent;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.model.EvalResult;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class AgentConnectionTest {
  private static final Duration SOON = Duration.ofSeconds(5);
  private static final ProgramSpec TRUE =
      ProgramSpec.of(new Program.Exec(List.of("true")), Duration.ZERO);

  @Test
  void aPingTellsTheRuntimesReport() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              Frame ping = peer.expect(FrameType.PING_RUNTIME);
              Fields.Builder pong = Fields.builder().integer(FieldKey.RUNTIME, 2);
              peer.send(FrameType.PONG, ping.id(), pong.text(FieldKey.REPORT, "{\"a\":1}").build());
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThat(connection.runtime()).isEqualTo(Pong.RuntimeState.READY);
      assertThat(connection.ping(SOON)).isEqualTo(new Pong(Pong.RuntimeState.READY, "{\"a\":1}"));
    }
  }

  @Test
  void withoutARuntimeTheAgentAloneAnswers() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              peer.send(FrameType.PONG, peer.expect(FrameType.PING).id(), Fields.NONE);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThat(connection.ping(SOON)).isEqualTo(new Pong(Pong.RuntimeState.NONE, "{}"));
    }
  }

  @Test
  void theEndOfTheRuntimeIsKnownFromThenOn() throws Exception {
    CountDownLatch told = new CountDownLatch(1);
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              peer.error(peer.expect(FrameType.PING_RUNTIME).id(), "runtime", "it has ended");
              peer.send(FrameType.RUNTIME_ENDED, 0, Fields.NONE);
              Frame ping = peer.expect(FrameType.PING);
              told.countDown();
              Fields state = Fields.builder().integer(FieldKey.RUNTIME, 3).build();
              peer.send(FrameType.PONG, ping.id(), state);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThat(connection.ping(SOON).runtime()).isEqualTo(Pong.RuntimeState.ENDED);
      assertThat(connection.ping(SOON).runtime()).isEqualTo(Pong.RuntimeState.ENDED);
      told.await();
      assertThat(agent.listened).contains("runtime ended");
    }
  }

  @Test
  void answersFindTheirRequestsInAnyOrder() throws Exception {
    int n = 100;
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              List<Frame> asked = new ArrayList<>();
              for (int i = 0; i < n; i++) {
                asked.add(peer.expect(FrameType.EVAL));
              }
              for (Frame eval : asked.reversed()) {
                String code = eval.fields().text(FieldKey.CODE);
                Fields result = Fields.builder().text(FieldKey.RESULT, code).build();
                peer.send(FrameType.RESULT, eval.id(), result);
              }
              peer.drain();
            });
        AgentConnection connection = agent.connect();
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<EvalResult>> results =
          IntStream.range(0, n)
              .mapToObj(i -> threads.submit(() -> connection.eval("code " + i, SOON)))
              .toList();
      for (int i = 0; i < n; i++) {
        assertThat(results.get(i).get().result()).isEqualTo("code " + i);
      }
    }
  }

  @Test
  void aProgramGetsItsOwnAndTheSandboxesEnvironment() throws Exception {
    CompletableFuture<Fields> asked = new CompletableFuture<>();
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              Frame exec = peer.expect(FrameType.EXEC);
              asked.complete(exec.fields());
              peer.error(exec.id(), "not_found", "no command\nnope\u0007");
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      ProgramSpec spec =
          new ProgramSpec(new Program.Exec(List.of("nope")), Map.of("B", "2"), "", "", false, SOON);
      assertThatThrownBy(() -> connection.run(spec))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.NOT_FOUND))
          .hasMessage("sandbox sb-1: exec: no command nope");
      assertThat(asked.join().texts(FieldKey.ENV)).containsExactly("A=1", "B=2");
      assertThat(asked.join().text(FieldKey.CWD)).isEqualTo("/work");
      assertThat(asked.join().integer(FieldKey.TIMEOUT_MS, 0, 0, 10_000)).isEqualTo(5_000);
      assertThat(asked.join().has(FieldKey.USER)).isFalse();
    }
  }

  @Test
  void outputWaitsForItsReaderAndNothingIsLost() throws Exception {
    byte[] all = new byte[3 * Frame.DEFAULT_WINDOW];
    new Random(5).nextBytes(all);
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              int id = started(peer, FrameType.EXEC);
              sendWithCredit(peer, id, all);
              exit(peer, id, 3);
              peer.drain();
            });
        AgentConnection connection = agent.connect();
        RunningProgram program = connection.run(TRUE)) {
      assertThat(program.pid()).isEqualTo(7);
      ByteArrayOutputStream got = new ByteArrayOutputStream();
      while (program.next(SOON) instanceof ProgramEvent.Output(int stream, byte[] bytes)) {
        assertThat(stream).isEqualTo(1);
        assertThat(bytes.length).isBetween(1, Frame.MAX_DATA);
        got.writeBytes(bytes);
      }
      assertThat(got.toByteArray()).isEqualTo(all);
      assertThat(program.next(SOON))
          .isInstanceOfSatisfying(
              ProgramEvent.Exited.class, e -> assertThat(e.status().code()).isEqualTo(3));
    }
  }

  @Test
  void inputWaitsForCreditAndEndsWithTheProgram() throws Exception {
    int extra = 10_000;
    CompletableFuture<Integer> got = new CompletableFuture<>();
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              int id = started(peer, FrameType.EXEC);
              int sum = takeInput(peer, Frame.DEFAULT_WINDOW);
              Fields credit = Fields.builder().integer(FieldKey.BYTES, extra).build();
              peer.send(FrameType.WINDOW_STDIN, id, credit);
              sum += takeInput(peer, extra);
              got.complete(sum);
              exit(peer, id, 0);
              peer.drain();
            });
        AgentConnection connection = agent.connect();
        RunningProgram program = connection.run(TRUE)) {
      byte[] input = new byte[Frame.DEFAULT_WINDOW + extra + 1];
      assertThatThrownBy(() -> program.write(input, 0, input.length))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.CONFLICT))
          .hasMessageContaining("before it took all of its input");
      assertThat(got.join()).isEqualTo(Frame.DEFAULT_WINDOW + extra);
      program.closeInput();
      program.signal(15);
    }
  }

  @Test
  void filesTravelBothWays() throws Exception {
    byte[] content = new byte[Frame.DEFAULT_WINDOW + 12_345];
    new Random(9).nextBytes(content);
    ByteArrayOutputStream stored = new ByteArrayOutputStream();
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              int write = started(peer, FrameType.WRITE_FILE);
              for (Frame f = peer.expect(FrameType.INPUT);
                  !f.fields().flag(FieldKey.EOF);
                  f = peer.expect(FrameType.INPUT)) {
                byte[] data = f.fields().bytes(FieldKey.DATA);
                stored.writeBytes(data);
                Fields credit = Fields.builder().integer(FieldKey.BYTES, data.length).build();
                peer.send(FrameType.WINDOW_STDIN, write, credit);
              }
              peer.send(FrameType.DONE, write, Fields.NONE);
              int read = peer.expect(FrameType.READ_FILE).id();
              sendWithCredit(peer, read, content);
              peer.send(FrameType.DONE, read, Fields.NONE);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      connection.writeFile("/x", 0644, new ByteArrayInputStream(content), SOON);
      assertThat(stored.toByteArray()).isEqualTo(content);
      ByteArrayOutputStream read = new ByteArrayOutputStream();
      assertThat(connection.readFile("/x", content.length, read, SOON)).isEqualTo(content.length);
      assertThat(read.toByteArray()).isEqualTo(content);
    }
  }

  @Test
  void aRefusedWriteTellsTheAgentsReason() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              int id = started(peer, FrameType.WRITE_FILE);
              takeInput(peer, Frame.DEFAULT_WINDOW);
              peer.error(id, "exhausted", "no space left on device");
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      byte[] big = new byte[2 * Frame.DEFAULT_WINDOW];
      assertThatThrownBy(
              () -> connection.writeFile("/x", 0644, new ByteArrayInputStream(big), SOON))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.EXHAUSTED))
          .hasMessage("sandbox sb-1: writing /x: no space left on device");
    }
  }

  @Test
  void tooManyOpenRequestsAreRefusedAndPlacesComeBack() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              List<Frame> asked = new ArrayList<>();
              for (int i = 0; i < Multiplexer.MAX_OPEN; i++) {
                asked.add(peer.expect(FrameType.EXEC));
                peer.send(FrameType.STARTED, asked.get(i).id(), Fields.NONE);
              }
              exit(peer, peer.expect(FrameType.SIGNAL).id(), 0);
              peer.send(FrameType.PONG, peer.expect(FrameType.PING).id(), Fields.NONE);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      List<RunningProgram> programs = new ArrayList<>();
      for (int i = 0; i < Multiplexer.MAX_OPEN; i++) {
        programs.add(connection.run(TRUE));
      }
      assertThatThrownBy(() -> connection.ping(SOON))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.EXHAUSTED));
      programs.getFirst().signal(15);
      assertThat(programs.getFirst().next(SOON)).isInstanceOf(ProgramEvent.Exited.class);
      assertThat(connection.ping(SOON).runtime()).isEqualTo(Pong.RuntimeState.NONE);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "invalid,INVALID",
    "unsupported,UNSUPPORTED",
    "not_found,NOT_FOUND",
    "denied,CONFLICT",
    "exists,CONFLICT",
    "exhausted,EXHAUSTED",
    "timeout,TIMEOUT",
    "runtime,ENGINE",
    "io,ENGINE",
    "internal,ENGINE",
    "nonsense,ENGINE"
  })
  void kindsOfErrorsAreTranslated(String word, FailureKind kind) throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(0);
              peer.error(peer.expect(FrameType.EVAL).id(), word, "");
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThatThrownBy(() -> connection.eval("1", SOON))
          .isInstanceOfSatisfying(ForkdException.class, e -> assertThat(e.kind()).isEqualTo(kind))
          .hasMessage("sandbox sb-1: eval: failed without a reason");
    }
  }

  @Test
  void anInterruptedCallerTakesNobodyElseDown() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              Frame eval = peer.expect(FrameType.EVAL);
              Frame cancel = peer.expect(FrameType.CANCEL);
              peer.error(cancel.id(), "timeout", "cancelled " + eval.id());
              Frame ping = peer.expect(FrameType.PING_RUNTIME);
              Fields state = Fields.builder().integer(FieldKey.RUNTIME, 2).build();
              peer.send(FrameType.PONG, ping.id(), state);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      CompletableFuture<Throwable> failed = new CompletableFuture<>();
      Thread caller =
          Thread.ofVirtual()
              .start(() -> {
                try {
                  connection.eval("while True: pass", SOON);
                } catch (ForkdException e) {
                  failed.complete(e);
                }
              });
      caller.interrupt();
      assertThat(failed.get()).hasMessageContaining("interrupted");
      assertThat(connection.ping(SOON).runtime()).isEqualTo(Pong.RuntimeState.READY);
    }
  }

  static int started(FakeAgent.Peer peer, int type) throws IOException {
    int id = peer.expect(type).id();
    peer.send(FrameType.STARTED, id, Fields.builder().integer(FieldKey.PID, 7).build());
    return id;
  }

  static void exit(FakeAgent.Peer peer, int id, int code) throws IOException {
    peer.send(FrameType.EXITED, id, Fields.builder().integer(FieldKey.EXIT_CODE, code).build());
  }

  /** Sends to stdout as an agent does: no more than the credit, then waits for WINDOW. */
  private static void sendWithCredit(FakeAgent.Peer peer, int id, byte[] all) throws IOException {
    long credit = Frame.DEFAULT_WINDOW;
    int at = 0;
    while (at < all.length) {
      while (credit == 0) {
        Fields window = peer.expect(FrameType.WINDOW).fields();
        credit += window.integer(FieldKey.BYTES, 0, 1, Frame.DEFAULT_WINDOW);
      }
      int n = (int) Math.min(Math.min(credit, 50_000), all.length - at);
      peer.output(id, 1, java.util.Arrays.copyOfRange(all, at, at + n));
      at += n;
      credit -= n;
    }
  }

  private static int takeInput(FakeAgent.Peer peer, int bytes) throws IOException {
    int sum = 0;
    while (sum < bytes) {
      sum += peer.expect(FrameType.INPUT).fields().bytes(FieldKey.DATA).length;
    }
    return sum;
  }

  @Test
  void textsThatCannotTravelAreRefusedBeforeAnythingIsSent() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThatThrownBy(() -> connection.eval("a\0b", SOON))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.INVALID));
      String huge = new String(new byte[Frame.MAX_LENGTH], UTF_8).replace('\0', ' ');
      assertThatThrownBy(() -> connection.eval(huge, SOON))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.TOO_LARGE));
    }
  }
}
