package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What has gone wrong in systems like this one, by the name or date it was published under. */
final class AdvisoriesTest {
  private static final byte[] NOTHING = {};
  @TempDir Path dir;
  private ApiFixture api;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
  }

  @AfterEach
  void close() {
    api.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"../x", "/etc/x", "..", "a/b", "a\\u0000b", "a.b", ""})
  void advisory20260513ATagIsNoPath(String tag) throws IOException {
    String recipe = "\"recipe\":\"name: demo\\nimage: host\\n\"";
    ApiFixture.Answer answer =
        api.post("/v1/snapshots", "{\"tag\":\"" + tag + "\"," + recipe + "}");
    assertThat(answer.status()).isEqualTo(400);
    assertThat(api.get("/v1/snapshots").json()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"../demo", "/var/lib/forkd", "demo/../demo", "."})
  void advisory20260517ASnapshotTagIsNoPathEither(String tag) throws IOException {
    api.service.create("demo");
    assertThat(api.post("/v1/sandboxes", "{\"snapshot_tag\":\"" + tag + "\"}").status())
        .isEqualTo(400);
    assertThat(api.service.engine.guests()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"REPLACE_ME_with_a_token", "CHANGE_ME_with_a_token", "short"})
  void pr54APlaceholderIsNoToken(String token) throws IOException {
    Path file = Files.writeString(dir.resolve("token"), token);
    assertThatThrownBy(() -> Tokens.read(file)).isInstanceOf(ForkdException.class);
  }

  @Test
  void issue162TheAnswerTellsNothingOfATokensLength() throws IOException {
    Tokens tokens = Tokens.read(Files.writeString(dir.resolve("token"), "0123456789abcdef"));
    String[] wrong = {"0", "0123456789abcde", "0123456789abcdeg", "0".repeat(5000)};
    for (String sent : wrong) {
      assertThatThrownBy(() -> tokens.caller("Bearer " + sent)).hasMessage("invalid bearer token");
    }
    // Nothing of the token itself is kept that could be compared piece by piece.
    assertThat(TokenFile.read(dir.resolve("token")).getFirst().digest()).hasSize(32);
  }

  @Test
  void issue196HealthNeedsNoTokenInEitherSpelling() throws IOException {
    Path token = Files.writeString(dir.resolve("token"), "0123456789abcdef");
    try (ApiFixture guarded = ApiFixture.guarded(dir.resolve("g"), token)) {
      assertThat(status(guarded, "/healthz")).isEqualTo(200);
      assertThat(status(guarded, "/healthz/")).isEqualTo(404);
      for (String path : new String[] {"/HEALTHZ", "/%68ealthz", "/healthz/..", "//healthz"}) {
        assertThat(status(guarded, path)).as(path).isEqualTo(401);
      }
    }
  }

  private static int status(ApiFixture guarded, String path) throws IOException {
    try (Http http = Http.tcp(guarded.server.port())) {
      return http.send("GET", path, NOTHING).status();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"../snapshots/x", "a/b", "a?x=1", "a#b", "a b", "a%2fb", ""})
  void issue259AnIdThatIsNoneNeverReachesAUrl(String id) {
    assertThatThrownBy(() -> new SandboxId(id)).isInstanceOf(ForkdException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0:8889", "[::]:8889", "192.0.2.1:1"})
  void commit9c2c92bAnOpenAddressNeedsAToken(String bind) {
    assertThatThrownBy(
            () -> new ApiConfig(dir.resolve("s"), bind, "", "", "", "", Duration.ofSeconds(1)))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining("without a token");
  }

  @Test
  void aHugeTimeoutIsRefusedBeforeItIsCalculatedWith() throws IOException {
    String path = "/v1/sandboxes/" + api.sandbox() + "/exec";
    for (String secs : new String[] {"1e308", "18446744073709551615", "-1", "0", "86401"}) {
      String body = "{\"args\":[\"echo\"],\"timeout_secs\":" + secs + "}";
      assertThat(api.post(path, body).status()).as(secs).isEqualTo(400);
    }
  }

  @Test
  void outputOfAGuestIsBounded() throws IOException {
    String path = "/v1/sandboxes/" + api.sandbox() + "/exec";
    ApiFixture.Answer answer = api.post(path, "{\"args\":[\"flood\",\"9\"]}");
    assertThat(answer.json().path("truncated").asBoolean()).isTrue();
    assertThat(answer.json().path("stdout").asString().length()).isEqualTo(8 << 20);
  }

  @Test
  void aBodyIsBounded() throws IOException {
    byte[] large = new byte[Call.MAX_BODY + 1];
    assertThat(api.call("POST", "/v1/sandboxes", large, ApiFixture.JSON).status()).isEqualTo(413);
  }

  @Test
  void aHeadIsBounded() throws IOException {
    try (Http http = Http.tcp(api.server.port())) {
      http.send("GET", "/version", NOTHING, "X-Long: " + "x".repeat(60_000));
      assertThat(http.status()).isBetween(400, 499);
    } catch (IOException e) {
      assertThat(e).hasMessageContaining("hung up"); // that is a refusal as well
    }
    assertThat(api.get("/healthz").status()).isEqualTo(200);
  }
}
