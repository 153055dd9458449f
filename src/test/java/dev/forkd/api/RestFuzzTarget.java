package dev.forkd.api;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Set;
import java.util.stream.Stream;

/**
 * One request over HTTP to a daemon with a fake engine: "METHOD PATH", a line of its own, then the
 * body. Whatever it is, the answer is no failure that the interface does not declare.
 */
public final class RestFuzzTarget {
  private static final Set<String> METHODS =
      Set.of("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH");
  private static final Set<Integer> DECLARED = Set.of(501, 502, 503, 504);
  private static final int SANDBOXES_MAX = 20;
  private static final ApiFixture API = open();
  private static final String SANDBOX = API.sandbox();

  private RestFuzzTarget() {}

  private static ApiFixture open() {
    try {
      Path dir = Files.createTempDirectory("forkd-fuzz-rest");
      ApiFixture opened = ApiFixture.open(dir);
      Runtime.getRuntime().addShutdownHook(new Thread(() -> close(opened, dir)));
      return opened;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void close(ApiFixture api, Path dir) {
    api.close();
    try (Stream<Path> files = Files.walk(dir)) {
      files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Entry of the fuzzer. */
  public static void fuzzerTestOneInput(byte[] data) throws IOException {
    String text = new String(data, ISO_8859_1);
    int line = text.indexOf('\n');
    int space = text.indexOf(' ');
    if (space < 0 || line < space || !METHODS.contains(text.substring(0, space))) {
      return;
    }
    // What no client library lets through would only break the request line.
    String path =
        text.substring(space + 1, line)
            .replace("@", SANDBOX)
            .replaceAll("[\\x00-\\x20\\x7f-\\xff\"<>\\\\^`{|}]", "%41");
    if (!path.startsWith("/") || path.startsWith("/v1/events") || path.contains("/wait")) {
      return; // those two wait, and are right to
    }
    byte[] body = Arrays.copyOfRange(data, line + 1, data.length);
    int status = status(text.substring(0, space), path, body);
    if (status >= 500 && !DECLARED.contains(status)) {
      throw new AssertionError("HTTP " + status + " for " + text.substring(0, line));
    }
    clear();
  }

  private static int status(String method, String path, byte[] body) throws IOException {
    try {
      return API.call(method, path, body, ApiFixture.JSON).status();
    } catch (IOException e) {
      // What is no HTTP is answered and hung up on, maybe before all of it was sent.
      return API.get("/healthz").status();
    }
  }

  private static void clear() throws IOException {
    if (API.service.engine.guests().size() > SANDBOXES_MAX) {
      for (String id : API.get("/v1/sandboxes").json().findValuesAsString("id")) {
        if (!id.equals(SANDBOX)) {
          API.delete("/v1/sandboxes/" + id);
        }
      }
    }
  }
}
