package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A certificate that is replaced counts for the next connection, without a restart. */
final class TlsReloadTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  @TempDir Path dir;

  private static int run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getInputStream().readAllBytes();
    return process.waitFor();
  }

  /** A key and a certificate of its own, that nobody else's clients trust. */
  private Path make(String name) throws IOException, InterruptedException {
    Path cert = dir.resolve(name + ".pem");
    String command =
        ("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
                + " -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s")
            .formatted(dir.resolve(name + ".key"), cert);
    assertThat(run(command.split(" "))).isZero();
    return cert;
  }

  private void install(String name) throws IOException {
    for (String[] pair : new String[][] {{".key", "key"}, {".pem", "cert"}}) {
      Path staged = dir.resolve(pair[1] + ".new");
      Files.copy(dir.resolve(name + pair[0]), staged);
      Files.move(staged, dir.resolve(pair[1]), StandardCopyOption.ATOMIC_MOVE);
    }
  }

  private static boolean trusted(ApiFixture api, Path authority) {
    try {
      String url = "https://127.0.0.1:" + api.server.port() + "/healthz";
      return run("curl", "-sf", "-m", "10", "--cacert", authority.toString(), url) == 0;
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aReplacedCertificateIsServed() throws Exception {
    Path first = make("first");
    Path second = make("second");
    install("first");
    try (ApiFixture api =
        ApiFixture.encrypted(dir.resolve("d"), dir.resolve("cert"), dir.resolve("key"))) {
      assertThat(trusted(api, first)).isTrue();
      assertThat(trusted(api, second)).isFalse();
      install("second");
      await().atMost(SOON).until(() -> trusted(api, second));
      assertThat(trusted(api, first)).isFalse();
      // What cannot be used changes nothing; what replaces that counts again.
      Files.writeString(dir.resolve("cert"), "no certificate");
      await().during(Duration.ofSeconds(3)).atMost(SOON).until(() -> trusted(api, second));
      install("first");
      await().atMost(SOON).until(() -> trusted(api, first));
    }
  }
}
