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

  private Path reported(String name, int number, String timestamp, String... cases)
      throws IOException {
    StringBuilder told = new StringBuilder();
    for (String one : cases) {
      told.append(told.isEmpty() ? "" : ",").append(one);
    }
    String text =
        """
        {"version":1,"shard":[%d,2],"collection":"c","collected":0,"exit_code":0,"tests":[],
        "junit":{"suite":{"name":"pytest","tests":"2","errors":"0","failures":"1","skipped":"0",
        "time":"0.250","timestamp":"%s","hostname":"h%d"},"cases":[%s]}}
        """
            .formatted(number, timestamp, number, told);
    return Files.writeString(directory.resolve(name), text);
  }

  @Test
  void reportsBecomeOneInTheOrderOfCollection() throws IOException {
    Path one =
        reported("one", 1, "2026-01-02", "[0,\"<testcase name='a'/>\"]", "[3,\"<t d='4'/>\"]");
    Path two = reported("two", 2, "2026-01-01", "[1,\"<testcase name='é'>x</testcase>\"]");
    Path whole = directory.resolve("all.xml");
    Parts.of(List.of(two, one)).writeJunit(whole);
    assertThat(Files.readString(whole))
        .contains("<testcase name=\"a\"/><testcase name=\"é\">x</testcase><t d=\"4\"/>")
        .contains("tests=\"4\"", "failures=\"2\"", "time=\"0.500\"")
        .contains("timestamp=\"2026-01-01\"", "hostname=\"h2\"");
  }

  @Test
  void aReportThatIsNoneIsRefused() throws IOException {
    Path good = reported("good", 1, "2026");
    Path whole = directory.resolve("all.xml");
    for (String test :
        List.of(
            "<testcase>", "<!DOCTYPE t [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><t>&e;</t>", "")) {
      Path bad = reported("bad", 2, "2026", "[0,\"" + test + "\"]");
      assertThatThrownBy(() -> Parts.of(List.of(good, bad)).writeJunit(whole))
          .as(test)
          .isInstanceOf(ForkdException.class)
          .hasMessageContaining("JUnit report is broken");
    }
    assertThat(whole).doesNotExist();
    Path none = part("none", 1, 1, "c", 0, "t::a=passed");
    assertThatThrownBy(() -> Parts.of(List.of(none)).writeJunit(whole))
        .hasMessageContaining("was run without --junitxml");
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
