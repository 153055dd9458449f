package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/**
 * Random requests at every route: wrong types, sizes, encodings, paths. {@code
 * -Dforkd.fuzz.requests=N} and {@code -Dforkd.fuzz.seed=S} choose how many and which.
 */
final class HostileInputTest {
  private static final int REQUESTS = Integer.getInteger("forkd.fuzz.requests", 3_000);
  private static final long SEED = Long.getLong("forkd.fuzz.seed", 20260722);
  private static final Set<String> DECLARED =
      Set.of("exhausted", "unsupported", "timeout", "engine", "unavailable");
  private static final List<String> WORDS =
      List.of(
          "demo",
          "np",
          "",
          ".",
          "..",
          "../../etc/passwd",
          "/etc/passwd",
          "%2e%2e%2f",
          "a%00b",
          "%",
          "%zz",
          "%ff%fe",
          "sb-1-0001",
          "p-0000",
          "ö",
          "a b",
          "x".repeat(65),
          "\ud83d\ude00",
          "DROP TABLE snapshots;--",
          "' OR '1'='1",
          "${jndi:x}",
          "\r\nX-Evil: 1",
          "-1",
          "true");
  private static final List<String> FIELDS =
      List.of(
          "snapshot_tag",
          "tag",
          "n",
          "args",
          "code",
          "stdin",
          "stdin_b64",
          "env",
          "cwd",
          "user",
          "pty",
          "warm",
          "module",
          "file",
          "name",
          "labels",
          "ttl_secs",
          "idle_timeout_secs",
          "memory_limit_mib",
          "recipe",
          "recipe_dir",
          "engine",
          "replace",
          "kernel",
          "rootfs",
          "boot_wait_secs",
          "path",
          "mode",
          "parents",
          "signal",
          "rows",
          "columns",
          "diff",
          "live",
          "wait",
          "parent_tag",
          "to",
          "per_child_netns");
  @TempDir Path dir;
  private final Random random = new Random(SEED);
  private String sandbox = "";

  private String pick(List<String> list) {
    return list.get(random.nextInt(list.size()));
  }

  private String path(Route route) {
    StringBuilder path = new StringBuilder();
    for (String segment : route.segments()) {
      String real = segment.equals("{id}") && random.nextInt(3) > 0 ? sandbox : pick(WORDS);
      path.append('/').append(segment.startsWith("{") ? real : segment);
    }
    if (random.nextInt(4) == 0) {
      path.append('?').append(pick(List.of("path", "limit", "all", "label", "after", "cascade")));
      path.append('=').append(pick(WORDS));
    }
    // What no client library lets through would only break the request line.
    return path.toString().replaceAll("[\\x00-\\x20\\x7f-\\uffff\"<>\\\\^`{|}]", "%41");
  }

  private void value(ObjectNode body, String field) {
    switch (random.nextInt(10)) {
      case 0 -> body.put(field, pick(WORDS));
      case 1 -> body.put(field, random.nextInt(5) - 2);
      case 2 -> body.put(field, random.nextLong());
      case 3 -> body.put(field, random.nextBoolean());
      case 4 -> body.putNull(field);
      case 5 -> body.put(field, random.nextGaussian() * 1e300);
      case 6 -> body.putObject(field).put(pick(WORDS), pick(WORDS));
      case 7 -> body.putArray(field).add(pick(WORDS)).add(random.nextInt());
      case 8 -> body.putArray(field).add(pick(List.of("echo", "missing", "denied", "binary")));
      default -> body.put(field, "name: demo\nimage: host\n");
    }
  }

  private byte[] body() {
    ObjectNode body = Json.object();
    if (random.nextBoolean()) {
      body.put("snapshot_tag", "demo").putArray("args").add("echo").add("x");
    }
    for (int i = random.nextInt(4); i > 0; i--) {
      value(body, pick(FIELDS));
    }
    String text = Json.text(body);
    return switch (random.nextInt(12)) {
      case 0 -> new byte[0];
      case 1 -> text.substring(0, random.nextInt(text.length())).getBytes(UTF_8);
      case 2 -> bytes(random.nextInt(300));
      case 3 -> ("[".repeat(random.nextInt(3000)) + text).getBytes(UTF_8);
      case 4 -> (text + text).getBytes(UTF_8);
      default -> text.getBytes(UTF_8);
    };
  }

  private byte[] bytes(int n) {
    byte[] bytes = new byte[n];
    random.nextBytes(bytes);
    return bytes;
  }

  @Test
  void nothingBreaksTheDaemon() throws IOException {
    Set<String> outside = files(dir.toAbsolutePath().getParent());
    try (ApiFixture api = ApiFixture.open(dir)) {
      sandbox = api.sandbox();
      List<Route> routes = ApiServer.routes(api.service.forkd);
      Http http = Http.unix(api.socket());
      for (int i = 0; i < REQUESTS; i++) {
        Route route = routes.get(random.nextInt(routes.size()));
        boolean other = random.nextInt(8) == 0;
        String method = other ? pick(List.of("PUT", "PATCH", "HEAD")) : route.method();
        String type = random.nextInt(8) == 0 ? pick(WORDS).strip() : "application/json";
        http = request(http, api, method, path(route), type.replaceAll("[^ -~]", "?"));
        if (api.service.engine.guests().size() > 50) {
          api.get("/v1/sandboxes").json().findValuesAsString("id").stream()
              .filter(id -> !id.equals(sandbox))
              .forEach(id -> delete(api, id));
        }
        if (api.get("/v1/sandboxes/" + sandbox).status() == 404) {
          sandbox = api.sandbox();
        }
      }
      http.close();
      assertThat(api.get("/healthz").status()).isEqualTo(200);
      api.get("/v1/sandboxes").json().findValuesAsString("id").forEach(id -> delete(api, id));
      assertThat(api.service.engine.guests()).isEmpty();
    }
    Set<String> now = files(dir.toAbsolutePath().getParent());
    now.removeAll(outside);
    assertThat(now).noneMatch(name -> name.contains("evil") || name.contains("passwd"));
  }

  private static void delete(ApiFixture api, String id) {
    try {
      assertThat(api.delete("/v1/sandboxes/" + id).status()).isIn(204, 404);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private Http request(Http http, ApiFixture api, String method, String path, String type)
      throws IOException {
    byte[] body = body();
    String what = method + " " + path + " (seed " + SEED + ") " + new String(body, UTF_8);
    try {
      http.send(method, path, body, "Content-Type: " + type);
    } catch (IOException e) {
      assertThat(e.getMessage()).as(what).doesNotContain("no status line");
      // The server may hang up on nonsense; a connection of its own must get an answer.
      http.close();
      return Http.unix(api.socket());
    }
    String text = method.equals("HEAD") ? "" : http.text();
    assertThat(http.status()).as(what).isBetween(200, 599);
    if (http.status() >= 500 && !text.isEmpty()) {
      assertThat(Json.parse(text).path("kind").asString()).as(what + text).isIn(DECLARED);
    }
    boolean kept = !http.header("connection").equals("close");
    if (!kept) {
      http.close();
    }
    return kept ? http : Http.unix(api.socket());
  }

  private static Set<String> files(Path directory) throws IOException {
    try (var files = Files.list(directory)) {
      return files.map(Path::toString).collect(Collectors.toCollection(TreeSet::new));
    }
  }
}
