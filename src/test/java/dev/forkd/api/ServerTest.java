package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.service.ServiceFixture;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ServerTest {
  private static final byte[] NOTHING = {};
  private static final String TOKEN = "0123456789abcdef-secret";
  @TempDir Path dir;

  private Path token(String text) throws IOException {
    return Files.writeString(dir.resolve("token"), text);
  }

  private int status(ApiFixture api, String path, String... headers) throws IOException {
    try (Http http = Http.tcp(api.server.port())) {
      return http.send("GET", path, NOTHING, headers).status();
    }
  }

  private static ApiConfig config(Path socket, String bind, String token) {
    return new ApiConfig(socket, bind, token, "", "", "", Duration.ofSeconds(1));
  }

  @Test
  void theSocketIsPrivateAndNeedsNoToken() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, token(TOKEN + "\n"))) {
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(api.socket())))
          .isEqualTo("rw-------");
      assertThat(api.get("/version").status()).isEqualTo(200);
    }
    assertThat(dir.resolve("run/forkd.sock")).doesNotExist();
  }

  @Test
  void tcpNeedsTheTokenButForHealth() throws IOException {
    try (ApiFixture api = ApiFixture.guarded(dir, token(TOKEN))) {
      assertThat(status(api, "/healthz")).isEqualTo(200);
      assertThat(status(api, "/healthz/")).isEqualTo(404);
      for (String path : new String[] {"/version", "/metrics", "/nope", "/healthz/x"}) {
        assertThat(status(api, path)).isEqualTo(401);
      }
      assertThat(status(api, "/version", "Authorization: Bearer " + TOKEN)).isEqualTo(200);
      assertThat(status(api, "/version", "Authorization: Bearer   " + TOKEN + "  ")).isEqualTo(200);
      try (Http http = Http.tcp(api.server.port())) {
        http.send("GET", "/version", NOTHING, "Authorization: Bearer wrong");
        assertThat(http.json().path("error").asString()).isEqualTo("invalid bearer token");
        assertThat(http.header("www-authenticate")).isEmpty();
      }
      for (String header : new String[] {"bearer " + TOKEN, "Bearer ", "Basic x", TOKEN}) {
        try (Http http = Http.tcp(api.server.port())) {
          http.send("GET", "/version", NOTHING, "Authorization: " + header);
          assertThat(http.status()).isEqualTo(401);
          assertThat(http.json().path("error").asString()).isEqualTo("missing bearer token");
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "localhost, 200", "LOCALHOST:8889, 200", "127.0.0.1:8889, 200", "127.1.2.3, 200",
    "[::1]:8889, 200", "evil.example, 400", "evil.example:8889, 400", "localhost.evil.example, 400",
    "127.0.0.1.evil.example, 400", "10.0.0.1, 400"
  })
  void withoutATokenOnlyLoopbackNamesAreServed(String host, int status) throws IOException {
    try (ApiFixture api = ApiFixture.open(dir);
        Http tcp = Http.tcp(api.server.port());
        Http unix = Http.unix(api.socket())) {
      for (Http http : new Http[] {tcp, unix}) {
        http.write(("GET /version HTTP/1.1\r\nHost: " + host + "\r\n\r\n").getBytes(UTF_8));
        http.readHead();
      }
      assertThat(tcp.status()).isEqualTo(status);
      assertThat(unix.status()).isEqualTo(200);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " \n", "short", "REPLACE_ME_0123456789", "CHANGE_ME_0123456789"})
  void unusableTokensAreRefused(String text) throws IOException {
    Path file = token(text);
    try (ServiceFixture service = ServiceFixture.open(dir)) {
      ApiConfig config = config(service.state.restSocket(), "127.0.0.1:0", file.toString());
      assertThatThrownBy(() -> ApiServer.start(config, service.forkd))
          .isInstanceOf(ForkdException.class)
          .hasMessageContaining(file.toString());
      assertThat(service.state.restSocket()).doesNotExist();
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0.0.0.0:8889, without a token",
    "[::]:8889, without a token",
    "10.1.2.3:1, without a token",
    "localhost, port is missing",
    ":80, host is missing",
    "localhost:x, not a number",
    "localhost:70000, not 0..65535",
    "no.such.host.invalid:1, not known"
  })
  void unsafeOrMalformedAddressesAreRefused(String bind, String text) {
    assertThatThrownBy(() -> config(dir.resolve("s"), bind, ""))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.INVALID))
        .hasMessageContaining(text);
  }

  @Test
  void fineAddresses() {
    assertThat(config(dir, "[::1]:0", "").address().isLoopbackAddress()).isTrue();
    assertThat(config(dir, "0.0.0.0:1", "/token").port()).isEqualTo(1);
    assertThat(config(dir, "none", "").tcp()).isFalse();
    assertThatThrownBy(() -> new ApiConfig(dir, "none", "", "/cert", "", "", Duration.ZERO))
        .hasMessageContaining("both");
  }

  @Test
  void aTakenPortIsTold() throws IOException {
    try (ServiceFixture service = ServiceFixture.open(dir);
        ServerSocket taken = new ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
      ApiConfig config =
          config(service.state.restSocket(), "127.0.0.1:" + taken.getLocalPort(), "");
      assertThatThrownBy(() -> ApiServer.start(config, service.forkd))
          .isInstanceOfSatisfying(
              ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.CONFLICT))
          .hasMessageContaining(String.valueOf(taken.getLocalPort()));
      assertThat(service.state.restSocket()).doesNotExist();
    }
  }

  @Test
  void aStaleSocketIsReplacedALivingOneIsNot() throws IOException {
    try (ServiceFixture service = ServiceFixture.open(dir)) {
      Path socket = service.state.restSocket();
      try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
        dead.bind(UnixDomainSocketAddress.of(socket));
        assertThatThrownBy(() -> ApiServer.start(config(socket, "", ""), service.forkd))
            .isInstanceOfSatisfying(
                ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.CONFLICT))
            .hasMessageContaining("another daemon answers");
      }
      assertThat(socket).exists();
      try (ApiServer server = ApiServer.start(config(socket, "", ""), service.forkd);
          Http http = Http.unix(socket)) {
        assertThat(server.port()).isZero();
        assertThat(http.send("GET", "/healthz", NOTHING).status()).isEqualTo(200);
      }
      assertThat(socket).doesNotExist();
    }
  }

  @Test
  void stoppingEndsStreamsWithinTheDrainTime() throws IOException {
    ApiFixture api = ApiFixture.open(dir);
    String id = api.sandbox();
    try (Http http = Http.unix(api.socket())) {
      http.send(
          "POST",
          "/v1/sandboxes/" + id + "/exec",
          "{\"args\":[\"wait\"],\"stream\":true}".getBytes(StandardCharsets.UTF_8),
          ApiFixture.JSON);
      assertThat(http.chunk()).contains("started");
      var program = api.guest(id).programs().getLast();
      long began = System.nanoTime();
      api.close();
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(6));
      await().until(program::closed);
    }
  }

  @Test
  void tlsServesTheSameRoutes() throws Exception {
    Path key = dir.resolve("key.pem");
    Path cert = dir.resolve("cert.pem");
    Process openssl =
        new ProcessBuilder(
                ("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
                        + " -addext subjectAltName=IP:127.0.0.1 -keyout "
                        + key
                        + " -out "
                        + cert)
                    .split(" "))
            .redirectErrorStream(true)
            .start();
    openssl.getInputStream().readAllBytes();
    assertThat(openssl.waitFor()).isZero();
    try (ApiFixture api = ApiFixture.encrypted(dir, cert, key)) {
      String[] curl = {
        "curl",
        "-sS",
        "--cacert",
        cert.toString(),
        "-m",
        "10",
        "https://127.0.0.1:" + api.server.port() + "/healthz"
      };
      Process client = new ProcessBuilder(curl).redirectErrorStream(true).start();
      String text = new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(Json.parse(text).path("ok").asBoolean()).isTrue();
      assertThat(api.get("/healthz").status()).isEqualTo(200);
    }
    Path junk = Files.writeString(dir.resolve("junk"), "no key");
    try (ServiceFixture service = ServiceFixture.open(dir)) {
      ApiConfig config =
          new ApiConfig(
              service.state.restSocket(),
              "127.0.0.1:0",
              "",
              junk.toString(),
              junk.toString(),
              "",
              Duration.ZERO);
      assertThatThrownBy(() -> ApiServer.start(config, service.forkd))
          .isInstanceOf(ForkdException.class)
          .hasMessageContaining("TLS certificate " + junk);
    }
  }
}
