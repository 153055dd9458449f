package dev.forkd.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.RunningProgram;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever an agent does, its caller gets a Failure in time and the daemon is well. */
@Timeout(30)
class HostileAgentTest {
  private static final Duration SOON = Duration.ofSeconds(5);
  private static final ProgramSpec CAT =
      new ProgramSpec(new Program.Exec(List.of("cat")), Map.of(), "", "", true, Duration.ZERO);

  /** What the agent does after it has said STARTED to an EXEC. */
  interface Misdeed {
    void commit(FakeAgent.Peer peer, int id) throws IOException;
  }

  static Stream<Arguments> misdeeds() {
    return Stream.of(
        deed("an unknown id", (peer, id) -> peer.send(FrameType.PONG, id + 77, Fields.NONE)),
        deed("an unknown type", (peer, id) -> peer.send(0x66, id, Fields.NONE)),
        deed("an unknown event", (peer, id) -> peer.send(FrameType.OUTPUT, 0, Fields.NONE)),
        deed("an answer of another kind", (peer, id) -> peer.send(FrameType.PONG, id, Fields.NONE)),
        deed("a second start", (peer, id) -> peer.send(FrameType.STARTED, id, Fields.NONE)),
        deed("an empty output", (peer, id) -> peer.output(id, 1, new byte[0])),
        deed("output of stream 0", (peer, id) -> peer.output(id, 0, new byte[1])),
        deed("output of stream 9", (peer, id) -> peer.output(id, 9, new byte[1])),
        deed("a chunk too large", (peer, id) -> peer.output(id, 1, new byte[Frame.MAX_DATA + 1])),
        deed("more than its credit", HostileAgentTest::flood),
        deed("credit out of nothing", (peer, id) -> credit(peer, id, 1)),
        deed("negative credit", (peer, id) -> credit(peer, id, -5)),
        deed("a short integer", HostileAgentTest::shortInteger),
        deed("a giant frame", (peer, id) -> raw(peer, "7fffffff84")),
        deed("a frame of nothing", (peer, id) -> raw(peer, "00000000")),
        deed("a field over the end", (peer, id) -> raw(peer, "0000000a840000000101000000ff")),
        deed("noise", HostileAgentTest::noise));
  }

  private static Arguments deed(String name, Misdeed misdeed) {
    return Arguments.of(name, misdeed);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("misdeeds")
  void whoeverBreaksTheProtocolIsDropped(String name, Misdeed misdeed) throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              int id = AgentConnectionTest.started(peer, FrameType.EXEC);
              misdeed.commit(peer, id);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      Failure failure = failureOf(() -> drain(connection.run(CAT)));
      assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
      assertThat(failure.message()).startsWith("sandbox sb-1: the agent was dropped because");
      assertThat(failureOf(() -> connection.ping(SOON))).isEqualTo(failure);
      assertThat(agent.listened).containsOnlyOnce("lost byPeer=false");
    }
  }

  @Test
  void anEndInTheMiddleFailsWhatIsOpenWithTheListenersReason() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              int id = AgentConnectionTest.started(peer, FrameType.EXEC);
              peer.output(id, 1, new byte[] {'x'});
            });
        AgentConnection connection = agent.connect();
        RunningProgram program = connection.run(CAT)) {
      // What came before the end is not lost.
      assertThat(program.next(SOON)).isNotNull();
      assertThat(failureOf(() -> program.next(SOON)).message())
          .isEqualTo("sandbox sb-1 ended: its agent closed the connection");
      assertThat(agent.listened).containsOnlyOnce("lost byPeer=true");
    }
  }

  @Test
  void halfAFrameAndSilenceIsATimeoutNotAHang() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              peer.expect(FrameType.PING_RUNTIME);
              raw(peer, "00000010820000");
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      assertThat(failureOf(() -> connection.ping(Duration.ofMillis(100))).kind())
          .isEqualTo(FailureKind.TIMEOUT);
    }
  }

  @Test
  void whoNeverGreetsIsGivenUp() throws Exception {
    try (FakeAgent agent = new FakeAgent(FakeAgent.Peer::drain)) {
      AgentSettings settings = new AgentSettings("sb-1", Map.of(), "/");
      assertThat(
              failureOf(() ->
                      AgentConnection.open(
                          agent.socket(), settings, new Silent(), Duration.ofMillis(200)))
                  .kind())
          .isEqualTo(FailureKind.TIMEOUT);
    }
  }

  @Test
  void whoSpeaksAnotherVersionIsUnsupported() throws Exception {
    try (FakeAgent agent =
        new FakeAgent(peer ->
            peer.error(peer.expect(FrameType.HELLO).id(), "unsupported", "I speak version 9"))) {
      assertThat(failureOf(agent::connect).kind()).isEqualTo(FailureKind.UNSUPPORTED);
    }
  }

  @Test
  void nobodyAtTheSocketIsAFailure() throws Exception {
    FakeAgent agent = new FakeAgent(peer -> {});
    agent.close();
    assertThat(failureOf(agent::connect).message())
        .startsWith("sandbox sb-1: cannot connect to its agent");
  }

  @Test
  void whoDoesNotEndWhatWasCancelledIsDropped() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              AgentConnectionTest.started(peer, FrameType.EXEC);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      connection.run(CAT).close();
      // Its place would be taken for ever otherwise.
      assertThat(failureOf(() -> connection.eval("1", SOON)).message())
          .contains("it did not end a cancelled request");
    }
  }

  @Test
  void whoReadsNothingIsDropped() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              for (int i = 0; i < 16; i++) {
                AgentConnectionTest.started(peer, FrameType.EXEC);
              }
              // Blocks until the host has hung up, without taking anything in.
              while (peer.raw().write(ByteBuffer.wrap(hello())) > 0) {
                Thread.onSpinWait();
              }
            });
        AgentConnection connection = agent.connect()) {
      byte[] input = new byte[Frame.DEFAULT_WINDOW];
      List<RunningProgram> programs = Stream.generate(() -> connection.run(CAT)).limit(16).toList();
      assertThat(
              failureOf(
                      () -> {
                        programs.forEach(program -> program.write(input, 0, input.length));
                        programs.forEach(HostileAgentTest::drain);
                      })
                  .message())
          .contains("the agent was dropped because it");
    }
  }

  /** An event that costs nothing: keeps the writer of the test busy. */
  private static byte[] hello() {
    return new Frame(FrameType.RUNTIME_ENDED, 0).encoded();
  }

  @Test
  void outputOfAnAbandonedProgramIsDroppedUntilItEnds() throws Exception {
    try (FakeAgent agent =
            new FakeAgent(peer -> {
              peer.welcome(2);
              int id = AgentConnectionTest.started(peer, FrameType.EXEC);
              for (int i = 0; i < 4; i++) {
                peer.output(id, 1, new byte[Frame.MAX_DATA]);
              }
              peer.expect(FrameType.CANCEL);
              for (int i = 0; i < 16; i++) {
                peer.output(id, 1, new byte[Frame.MAX_DATA]);
              }
              AgentConnectionTest.exit(peer, id, 0);
              peer.expect(FrameType.WINDOW);
              peer.expect(FrameType.WINDOW);
              Frame ping = peer.expect(FrameType.PING_RUNTIME);
              Fields state = Fields.builder().integer(FieldKey.RUNTIME, 2).build();
              peer.send(FrameType.PONG, ping.id(), state);
              peer.drain();
            });
        AgentConnection connection = agent.connect()) {
      connection.run(CAT).close();
      assertThat(connection.ping(SOON).report()).isEqualTo("{}");
    }
  }

  private static void drain(RunningProgram program) {
    // Does not take output while more may come: credit is given back only by taking.
    while (program.next(SOON) instanceof dev.forkd.model.ProgramEvent.Output) {
      Thread.onSpinWait();
    }
  }

  private static Failure failureOf(Runnable call) {
    ForkdException[] thrown = new ForkdException[1];
    assertThatThrownBy(call::run).isInstanceOfSatisfying(ForkdException.class, e -> thrown[0] = e);
    return thrown[0].failure();
  }

  private static void flood(FakeAgent.Peer peer, int id) throws IOException {
    for (int sent = 0; sent < 1 << 30; sent += Frame.MAX_DATA) {
      peer.output(id, 1, new byte[Frame.MAX_DATA]);
    }
  }

  private static void credit(FakeAgent.Peer peer, int id, int bytes) throws IOException {
    Fields fields = Fields.builder().integer(FieldKey.BYTES, bytes).build();
    peer.send(FrameType.WINDOW_STDIN, id, fields);
  }

  private static void shortInteger(FakeAgent.Peer peer, int id) throws IOException {
    Fields fields = Fields.builder().bytes(FieldKey.STREAM, new byte[2]).build();
    peer.send(FrameType.OUTPUT, id, fields);
  }

  private static void noise(FakeAgent.Peer peer, int id) throws IOException {
    byte[] noise = new byte[5_000];
    new Random(id).nextBytes(noise);
    peer.raw().write(ByteBuffer.wrap(noise));
  }

  private static void raw(FakeAgent.Peer peer, String hex) throws IOException {
    peer.raw().write(ByteBuffer.wrap(HexFormat.of().parseHex(hex)));
  }

  private static final class Silent implements AgentListener {
    @Override
    public void runtimeEnded(Fields event) {}

    @Override
    public Failure lost(Failure reason, boolean byPeer) {
      return reason;
    }
  }
}
