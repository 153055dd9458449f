package dev.forkd.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

@Timeout(30)
final class ForkdClientTest {
  private static final SandboxId ID = new SandboxId("sb-1-0000");

  private static ForkdException failure(Runnable action) {
    ForkdException thrown = catchThrowableOfType(ForkdException.class, action::run);
    assertThat(thrown).isNotNull();
    return thrown;
  }

  private static ForkdException failureOf(StubServer.Script script) throws IOException {
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      return failure(client::sandboxes);
    }
  }

  @Test
  void oneConnectionServesManyRequests() throws IOException {
    try (StubServer server = new StubServer((call, out) -> StubServer.json(out, 200, "[]"));
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      for (int i = 0; i < 5; i++) {
        assertThat(client.sandboxes()).isEmpty();
      }
      assertThat(server.connections).hasValue(1);
      assertThat(server.lines).hasSize(5).containsOnly("GET /v1/sandboxes");
      assertThat(client.allSandboxes()).isEmpty();
      assertThat(server.lines).last().isEqualTo("GET /v1/sandboxes?all=true");
    }
  }

  @Test
  void connectionThatTheServerClosedIsNotReused() throws IOException {
    StubServer.Script once =
        (call, out) -> {
          StubServer.json(out, 200, "[]");
          out.flush();
          throw new IOException("close");
        };
    try (StubServer server = new StubServer(once);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      client.sandboxes();
      assertThat(client.sandboxes()).isEmpty();
      assertThat(server.connections.get()).isEqualTo(2);
    }
  }

  @Test
  void requestsCarryTokenHostAndBody() throws IOException {
    List<String> seen = new ArrayList<>();
    StubServer.Script script =
        (call, out) -> {
          seen.add(call.headers().get("authorization"));
          seen.add(call.headers().get("host"));
          seen.add(call.headers().get("content-type"));
          seen.add(call.body());
          StubServer.json(out, 201, "[]");
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "s3cret")) {
      client.fork(Json.object().put("snapshot_tag", "täg").put("n", 2));
    }
    assertThat(seen)
        .containsExactly(
            "Bearer s3cret", "localhost", "application/json", "{\"snapshot_tag\":\"täg\",\"n\":2}");
  }

  @Test
  void tokenThatWouldSplitTheHeadIsRefused() {
    Endpoint endpoint = new Endpoint.Unix(Path.of("/nowhere"));
    assertThat(failure(() -> new ForkdClient(endpoint, "a\r\nX: y")).kind())
        .isEqualTo(FailureKind.INVALID);
  }

  @Test
  void failureKeepsTheServersKindAndDetail() throws IOException {
    ForkdException e =
        failureOf((call, out) ->
            StubServer.json(
                out, 500, "{\"error\":\"boom\",\"kind\":\"engine\",\"detail\":\"line\"}"));
    assertThat(e.kind()).isEqualTo(FailureKind.ENGINE);
    assertThat(e).hasMessage("boom (HTTP 500)");
    assertThat(e.failure().detail()).isEqualTo("line");
  }

  @Test
  void failureWithoutJsonIsToldByItsStatus() throws IOException {
    ForkdException e =
        failureOf(
            (call, out) -> StubServer.raw(out, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"));
    assertThat(e.kind()).isEqualTo(FailureKind.NOT_FOUND);
    assertThat(e).hasMessageContaining("GET /v1/sandboxes").hasMessageContaining("HTTP 404");
  }

  @Test
  void nobodyThereIsUnavailable() {
    try (ForkdClient client = new ForkdClient(new Endpoint.Unix(Path.of("/nowhere/x.sock")), "")) {
      ForkdException e = failure(client::sandboxes);
      assertThat(e.kind()).isEqualTo(FailureKind.UNAVAILABLE);
      assertThat(e)
          .hasMessageContaining("unix:/nowhere/x.sock")
          .hasMessageContaining("forkd serve");
    }
  }

  @Test
  void chunksWithExtensionsAndTrailersAreDecoded() throws IOException {
    String head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    StubServer.Script script =
        (call, out) ->
            StubServer.raw(out, head + "1;x=y\r\n[\r\n2\r\n7]\r\n0\r\nTrailer: yes\r\n\r\n");
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      assertThat(client.sandboxes().get(0).asInt()).isEqualTo(7);
      assertThat(client.sandboxes()).hasSize(1);
      assertThat(server.connections).hasValue(1);
    }
  }

  @Test
  void interimRepliesAreSkippedAndBodiesToTheCloseAreRead() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          StubServer.raw(out, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[1]");
          out.flush();
          throw new IOException("close");
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      assertThat(client.sandboxes()).hasSize(1);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[]\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
      })
  void brokenRepliesAreRefused(String reply) throws IOException {
    ForkdException e = failureOf((call, out) -> StubServer.raw(out, reply));
    assertThat(e.kind()).isEqualTo(FailureKind.UNAVAILABLE);
  }

  @Test
  void headsAreBounded() throws IOException {
    String head = "HTTP/1.1 200 OK\r\n";
    String longLine = head + "X: " + "y".repeat(20_000) + "\r\n\r\n";
    assertThat(failureOf((call, out) -> StubServer.raw(out, longLine)))
        .hasMessageContaining("longer than");
    String many = head + "X: y\r\n".repeat(200) + "\r\n";
    assertThat(failureOf((call, out) -> StubServer.raw(out, many)))
        .hasMessageContaining("more than 100 headers");
    String interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(20);
    assertThat(failureOf((call, out) -> StubServer.raw(out, interim)))
        .hasMessageContaining("interim");
  }

  @Test
  void hangUpInTheMiddleIsToldAsSuch() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          StubServer.raw(out, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[");
          throw new IOException("close");
        };
    ForkdException e = failureOf(script);
    assertThat(e.kind()).isEqualTo(FailureKind.UNAVAILABLE);
    assertThat(e).hasMessageContaining("in the middle");
  }

  @Test
  void silenceEndsAtTheDeadline() throws IOException {
    CountDownLatch never = new CountDownLatch(1);
    StubServer.Script silent =
        (call, out) -> {
          try {
            never.await();
          } catch (InterruptedException e) {
            throw new IOException(e);
          }
        };
    try (StubServer server = new StubServer(silent);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      ForkdException e = failure(() -> client.health(Duration.ofMillis(100)));
      assertThat(e.kind()).isEqualTo(FailureKind.TIMEOUT);
      assertThat(e).hasMessageContaining("100 ms");
    } finally {
      never.countDown();
    }
  }

  @Test
  void interruptionCancelsARequest() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch never = new CountDownLatch(1);
    StubServer.Script silent =
        (call, out) -> {
          asked.countDown();
          try {
            never.await();
          } catch (InterruptedException e) {
            throw new IOException(e);
          }
        };
    try (StubServer server = new StubServer(silent);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      List<ForkdException> thrown = new ArrayList<>();
      Thread thread = Thread.ofVirtual().start(() -> thrown.add(failure(client::sandboxes)));
      asked.await();
      thread.interrupt();
      thread.join();
      assertThat(thrown.getFirst()).hasMessageContaining("cancelled");
    } finally {
      never.countDown();
    }
  }

  @Test
  void deleteAnswersNothing() throws IOException {
    StubServer.Script script =
        (call, out) -> StubServer.raw(out, "HTTP/1.1 204 No Content\r\n\r\n");
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      client.destroy(ID);
      client.deleteSnapshot(new Tag("t"), true, false);
      assertThat(server.lines)
          .containsExactly("DELETE /v1/sandboxes/sb-1-0000", "DELETE /v1/snapshots/t?cascade=true");
      assertThat(server.connections).hasValue(1);
    }
  }

  @Test
  void snapshotStreamGivesProgressThenTheSnapshot() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          StubServer.stream(out);
          StubServer.event(out, "{\"event\":\"log\",\"line\":\"hello\"}");
          StubServer.event(out, "{\"event\":\"snapshot\",\"snapshot\":{\"tag\":\"t\"}}");
          StubServer.end(out);
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      List<JsonNode> events = new ArrayList<>();
      JsonNode snapshot = client.createSnapshot(Json.object(), events::add);
      assertThat(snapshot.path("tag").asString()).isEqualTo("t");
      assertThat(events).extracting(e -> e.path("line").asString()).containsExactly("hello");
      client.createSnapshot(Json.object(), events::add);
      assertThat(server.connections).hasValue(1);
    }
  }

  @Test
  void snapshotStreamThatEndsInAnErrorIsThrown() throws IOException {
    StubServer.Script script =
        (call, out) -> {
          StubServer.stream(out);
          StubServer.event(
              out, "{\"event\":\"error\",\"error\":\"no\",\"kind\":\"engine\",\"detail\":\"tb\"}");
          StubServer.end(out);
        };
    try (StubServer server = new StubServer(script);
        ForkdClient client = new ForkdClient(server.endpoint, "")) {
      ForkdException e = failure(() -> client.createSnapshot(Json.object(), event -> {}));
      assertThat(e.failure().kind()).isEqualTo(FailureKind.ENGINE);
      assertThat(e.failure().detail()).isEqualTo("tb");
    }
  }

  @Test
  void urlsAreChecked() {
    assertThat(Endpoint.of("unix:/a/b.sock")).isEqualTo(new Endpoint.Unix(Path.of("/a/b.sock")));
    assertThat(Endpoint.of("unix:///a/b.sock")).isEqualTo(new Endpoint.Unix(Path.of("/a/b.sock")));
    assertThat(Endpoint.of("http://h:1/")).isEqualTo(new Endpoint.Tcp("h", 1));
    assertThat(Endpoint.of("http://[::1]")).hasToString("http://[::1]:8889");
    for (String bad : List.of("", "h:1", "https://h", "http://h/p", "unix:rel", "http://")) {
      assertThat(failure(() -> Endpoint.of(bad)).kind()).isEqualTo(FailureKind.INVALID);
    }
    assertThat(failure(() -> Endpoint.of("unix:/" + "x".repeat(200)))).hasMessageContaining("107");
  }
}
