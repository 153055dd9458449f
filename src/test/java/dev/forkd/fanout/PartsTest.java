package dev.forkd.fanout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PartsTest {
  @TempDir private Path directory;

  private Path part(String name, int number, int of, String collection, int code, String... tests)
      throws IOException {
    StringBuilder rows = new StringBuilder();
    for (String test : tests) {
      String[] words = test.split("=");
      rows.append(rows.isEmpty() ? "" : ",")
          .append("{\"id\":\"%s\",\"verdict\":\"%s\"}".formatted(words[0], words[1]));
    }
    String text =
        """
        {"version":1,"shard":[%d,%d],"collection":"%s","collected":3,"exit_code":%d,"tests":[%s]}
        """
            .formatted(number, of, collection, code, rows);
    return Files.writeString(directory.resolve(name), text);
  }

  @Test
  void shardsBecomeOneResult() throws IOException {
    Path two = part("two", 2, 2, "c", 1, "t::c=failed");
    Path one = part("one", 1, 2, "c", 0, "t::a=passed", "t::b=passed");
    Parts parts = Parts.of(List.of(two, one));
    assertThat(parts.counts()).isEqualTo(Map.of("passed", 2, "failed", 1));
    assertThat(parts.failures()).containsExactly("t::c");
    assertThat(parts.exitCode()).isEqualTo(1);
  }

  @Test
  void anEmptyShardIsNoFailure() throws IOException {
    Path one = part("one", 1, 2, "c", 0, "t::a=passed", "t::b=passed", "t::c=passed");
    assertThat(Parts.of(List.of(one, part("two", 2, 2, "c", 5))).exitCode()).isZero();
  }

  @Test
  void whatHasNoVerdictIsNoSuccess() throws IOException {
    Path one = part("one", 1, 1, "c", 0, "t::a=passed");
    assertThat(Parts.of(List.of(one)).exitCode()).isEqualTo(1);
  }

  @Test
  void whatIsNotOneSuiteIsRefused() throws IOException {
    Path one = part("one", 1, 3, "c", 0, "t::a=passed");
    Path two = part("two", 2, 3, "c", 0, "t::b=passed");
    refused("of 3 shards these are missing: 2, 3", one);
    refused("are both shard 1", one, part("again", 1, 3, "c", 0), two);
    refused("they are of two suites", one, part("other", 2, 3, "d", 0));
    refused("they are of two suites", one, part("four", 2, 4, "c", 0));
    refused("both tell of t::a", one, two, part("three", 3, 3, "c", 0, "t::a=passed"));
    refused("is no file that --part has written", part("none", 4, 3, "c", 0));
    refused("there is no file", directory.resolve("missing"));
    refused("--merge needs the files");
  }

  private static void refused(String why, Path... files) {
    assertThatThrownBy(() -> Parts.of(List.of(files)))
        .isInstanceOf(ForkdException.class)
        .hasMessageContaining(why);
  }
}
