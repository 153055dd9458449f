package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Programs over a WebSocket, with the JDK's client. */
final class ExecSocketTest {
  private static final Duration SOON = Duration.ofSeconds(20);

  @TempDir Path dir;
  private ApiFixture api;
  private String id = "";

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    id = api.sandbox();
  }

  @AfterEach
  void close() {
    api.close();
  }

  /** What the client was sent: texts, output by stream, and the code of the close. */
  private static final class Ear implements WebSocket.Listener {
    final List<String> texts = new CopyOnWriteArrayList<>();
    final List<String> output = new CopyOnWriteArrayList<>();
    final CompletableFuture<Integer> closed = new CompletableFuture<>();

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
      texts.add(data.toString());
      socket.request(1);
      return CompletableFuture.completedStage(data);
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
      output.add(data.get() + ":" + UTF_8.decode(data));
      socket.request(1);
      return CompletableFuture.completedStage(data);
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
      closed.complete(code);
      return CompletableFuture.completedStage(reason);
    }

    int code() throws Exception {
      return closed.get(SOON.toSeconds(), TimeUnit.SECONDS);
    }
  }

  private WebSocket connect(Ear ear, String sandbox, String... headers) {
    HttpClient client = HttpClient.newHttpClient();
    WebSocket.Builder builder = client.newWebSocketBuilder().connectTimeout(SOON);
    for (int i = 0; i < headers.length; i += 2) {
      builder.header(headers[i], headers[i + 1]);
    }
    String address =
        "ws://127.0.0.1:%d/v1/sandboxes/%s/exec/socket".formatted(api.server.port(), sandbox);
    return builder.buildAsync(URI.create(address), ear).join();
  }

  private int refusal(String sandbox, String... headers) {
    try {
      connect(new Ear(), sandbox, headers).abort();
      return 101;
    } catch (CompletionException e) {
      assertThat(e.getCause()).isInstanceOf(WebSocketHandshakeException.class);
      return ((WebSocketHandshakeException) e.getCause()).getResponse().statusCode();
    }
  }

  @Test
  void aProgramIsStartedFedAndFollowed() throws Exception {
    Ear ear = new Ear();
    WebSocket socket = connect(ear, id);
    socket.sendText("{\"args\":[\"cat\"],", false).join();
    socket.sendText("\"stdin\":true}", true).join();
    socket.sendBinary(UTF_8.encode("some "), false).join();
    socket.sendBinary(UTF_8.encode("words"), true).join();
    socket.sendText("{\"eof\":true}", true).join();
    assertThat(ear.code()).isEqualTo(1000);
    assertThat(String.join("", ear.output).replace("1:", "")).isEqualTo("some words");
    assertThat(Json.parse(ear.texts.getFirst().getBytes(UTF_8)).path("event").asString())
        .isEqualTo("started");
    assertThat(ear.texts.getLast()).contains("\"event\":\"exit\",\"exit_code\":0");
    await().atMost(SOON).until(() -> audit().contains("/exec/socket\",\"status\":101"));
  }

  private String audit() throws IOException {
    return Files.readString(dir.resolve("audit.log"));
  }

  @Test
  void aTerminalIsMadeResizedAndSignalled() throws Exception {
    Ear ear = new Ear();
    WebSocket socket = connect(ear, id);
    socket.sendText("{\"args\":[\"wait\"],\"pty\":{\"rows\":30}}", true).join();
    socket.sendText("{\"resize\":{\"rows\":5,\"columns\":6}}", true).join();
    await().atMost(SOON).until(() -> !api.guest(id).programs().isEmpty());
    var program = api.guest(id).programs().getLast();
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(program.resized()).containsExactly(new TerminalSize(5, 6)));
    assertThat(api.guest(id).specs().getLast().terminal()).contains(new TerminalSize(30, 80));
    socket.sendText("{\"signal\":15}", true).join();
    assertThat(ear.code()).isEqualTo(1000);
    assertThat(ear.texts.getLast()).contains("\"signal\":15");
  }

  @Test
  void whoLeavesEndsTheProgram() {
    Ear ear = new Ear();
    WebSocket socket = connect(ear, id);
    socket.sendText("{\"args\":[\"wait\"]}", true).join();
    await().atMost(SOON).until(() -> !ear.texts.isEmpty());
    socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
    await().atMost(SOON).until(() -> api.guest(id).programs().getLast().closed());
    WebSocket other = connect(ear, id);
    other.sendText("{\"args\":[\"wait\"]}", true).join();
    await().atMost(SOON).until(() -> api.guest(id).programs().size() == 2);
    other.abort(); // no close frame: the connection is gone
    await().atMost(SOON).until(() -> api.guest(id).programs().getLast().closed());
  }

  @Test
  void badMessagesAreRefusedWithTheReason() throws Exception {
    for (String first : List.of("nonsense", "[]", "{}", "{\"args\":[\"wait\"],\"pty\":1}")) {
      Ear ear = new Ear();
      connect(ear, id).sendText(first, true).join();
      assertThat(ear.code()).as(first).isEqualTo(1008);
      assertThat(ear.texts.getLast()).contains("\"event\":\"error\"", "\"kind\":\"invalid\"");
    }
    for (String later : List.of("{}", "{\"signal\":0}", "{\"resize\":{\"rows\":0}}", "x")) {
      Ear ear = new Ear();
      WebSocket socket = connect(ear, id);
      socket.sendText("{\"args\":[\"wait\"],\"pty\":{}}", true).join();
      socket.sendText(later, true).join();
      assertThat(ear.code()).as(later).isEqualTo(1008);
      assertThat(ear.texts.getLast()).contains("\"event\":\"error\"", "\"kind\":\"invalid\"");
    }
  }

  @Test
  void whatCannotBeUpgradedHasTheStatusOfEveryRoute() throws IOException {
    assertThat(refusal("sb-00000000-0000")).isEqualTo(404);
    assertThat(refusal("%2e%2e")).isEqualTo(404);
    assertThat(refusal(id, "Origin", "https://example.org")).isEqualTo(403);
    assertThat(api.get("/v1/sandboxes/" + id + "/exec/socket").status()).isEqualTo(400);
  }

  @Test
  void aTokenIsAskedFor() throws IOException {
    api.close();
    Path tokens = dir.resolve("tokens");
    Files.writeString(tokens, "look read 0123456789abcdef-look\nci use 0123456789abcdef-ci\n");
    api = ApiFixture.guarded(dir.resolve("guarded"), tokens);
    id = api.sandbox();
    assertThat(refusal(id)).isEqualTo(401);
    assertThat(refusal(id, "Authorization", "Bearer 0123456789abcdef-look")).isEqualTo(403);
    assertThat(refusal(id, "Authorization", "Bearer 0123456789abcdef-ci")).isEqualTo(101);
    assertThatThrownBy(() -> connect(new Ear(), id)).isInstanceOf(CompletionException.class);
  }
}
