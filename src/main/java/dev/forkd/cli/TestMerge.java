package dev.forkd.cli;

import dev.forkd.fanout.Parts;
import dev.forkd.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** {@code forkd test --merge}: the shards of a suite as one result; takes no daemon. */
final class TestMerge {
  private final Session session;

  TestMerge(Session session) {
    this.session = session;
  }

  /**
   * Tells what became of the suite; returns its exit code.
   *
   * @param files what {@code --part} has written
   * @param lines where all tests go as JSON lines; "" = nowhere
   * @param junit where a JUnit report of all goes; "" = nowhere
   */
  int run(List<String> files, String lines, String junit) throws IOException {
    List<Path> paths = files.stream().map(session.console()::path).toList();
    Parts parts = Parts.of(paths);
    if (!lines.isEmpty()) {
      String text =
          parts.tests().stream().map(test -> Json.text(test) + "\n").collect(Collectors.joining());
      Files.writeString(session.console().path(lines), text);
    }
    if (!junit.isEmpty()) {
      parts.writeJunit(session.console().path(junit));
    }
    parts.failures().forEach(id -> session.say("FAILED " + id));
    String counts =
        parts.counts().entrySet().stream()
            .map(entry -> entry.getValue() + " " + entry.getKey())
            .collect(Collectors.joining(", "));
    session.say(
        "%d shards, %d tests: %s"
            .formatted(paths.size(), parts.collected(), counts.isEmpty() ? "none ran" : counts));
    if (parts.tests().size() < parts.collected()) {
      session.say(
          (parts.collected() - parts.tests().size()) + " tests have no verdict: a run ended early");
    }
    return parts.exitCode();
  }
}
