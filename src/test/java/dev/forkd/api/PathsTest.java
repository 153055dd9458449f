package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class PathsTest {
  private static Optional<Map<String, String>> match(String template, String path) {
    return Paths.match(Paths.segments(template), Paths.segments(path));
  }

  @Test
  void aParameterIsOneSegmentAndDecoded() {
    assertThat(match("/a/{id}/b", "/a/x%20y/b")).hasValue(Map.of("id", "x y"));
    assertThat(match("/a/{id}/b", "/a/x/y/b")).isEmpty();
    assertThat(match("/a/{id}/b", "/a//b")).isEmpty();
    assertThat(match("/a/{id}", "/a/x/")).isEmpty();
  }

  @Test
  void whatIsLeftIsTakenAsItIs() {
    String template = "/a/{id}/p/{rest...}";
    assertThat(match(template, "/a/%78/p/")).hasValue(Map.of("id", "x", "rest", ""));
    assertThat(match(template, "/a/x/p/b%2Fc//../d/"))
        .hasValue(Map.of("id", "x", "rest", "b%2Fc//../d/"));
    assertThat(match(template, "/a/x/p")).isEmpty();
    assertThat(match(template, "/a//p/b")).isEmpty();
    assertThat(match(template, "/a/x/q/b")).isEmpty();
  }
}
