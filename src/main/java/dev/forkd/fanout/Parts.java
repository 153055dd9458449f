package dev.forkd.fanout;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;

/**
 * What became of the shards of one suite, put together again. Shards that do not make up one suite
 * are refused: a part that is missing must not look like success.
 *
 * @param collected tests of the whole suite
 * @param tests what each shard told of its tests, in order of shards
 * @param exitCode of the whole
 * @param shards in their order
 */
public record Parts(int collected, List<JsonNode> tests, int exitCode, List<Part> shards) {
  private static final int FAILED = 1;
  private static final int NOTHING_RUN = 5;
  private static final Set<String> FAILURES = Set.of("failed", "error", "crashed", "timeout");

  public Parts {
    tests = List.copyOf(tests);
    shards = List.copyOf(shards);
  }

  /**
   * One shard's file.
   *
   * @param number of the shard, from 1
   * @param of so many
   * @param told what the file holds
   */
  public record Part(Path file, int number, int of, JsonNode told) {
    String collection() {
      return told.path("collection").asString("");
    }
  }

  /**
   * Reads the files that {@code --part} wrote.
   *
   * @throws ForkdException INVALID when they are not the shards of one suite, each once
   */
  public static Parts of(List<Path> files) throws IOException {
    Map<Integer, Part> parts = new TreeMap<>();
    for (Path file : files) {
      Part part = read(file);
      Part other = parts.putIfAbsent(part.number(), part);
      if (other != null) {
        throw refused("%s and %s are both shard %d".formatted(other.file(), file, part.number()));
      }
    }
    Part first =
        parts.values().stream()
            .findFirst()
            .orElseThrow(() -> refused("--merge needs the files that --part has written"));
    for (Part part : parts.values()) {
      if (part.of() != first.of() || !part.collection().equals(first.collection())) {
        throw refused(
            "%s is one of %d shards of collection %s, %s one of %d of %s: they are of two suites"
                .formatted(
                    first.file(),
                    first.of(),
                    first.collection(),
                    part.file(),
                    part.of(),
                    part.collection()));
      }
    }
    String missing =
        IntStream.rangeClosed(1, first.of())
            .filter(number -> !parts.containsKey(number))
            .mapToObj(Integer::toString)
            .collect(Collectors.joining(", "));
    if (!missing.isEmpty()) {
      throw refused("of %d shards these are missing: %s".formatted(first.of(), missing));
    }
    return whole(parts, first.told().path("collected").asInt(0));
  }

  private static Part read(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw refused("there is no file " + file);
    }
    JsonNode told = Json.parse(Files.readAllBytes(file));
    JsonNode shard = told.path("shard");
    int number = shard.path(0).asInt(0);
    int of = shard.path(1).asInt(0);
    if (told.path("version").asInt(0) != 1 || number < 1 || number > of) {
      throw refused(file + " is no file that --part has written");
    }
    return new Part(file, number, of, told);
  }

  private static Parts whole(Map<Integer, Part> parts, int collected) {
    List<JsonNode> tests = new ArrayList<>();
    Map<String, Path> owners = new TreeMap<>();
    int worst = 0;
    boolean anyRun = false;
    for (Part part : parts.values()) {
      int code = part.told().path("exit_code").asInt(FAILED);
      anyRun |= code != NOTHING_RUN;
      worst = Math.max(worst, code == NOTHING_RUN ? 0 : code);
      for (JsonNode test : part.told().path("tests")) {
        Path other = owners.putIfAbsent(test.path("id").asString(""), part.file());
        if (other != null && !other.equals(part.file())) {
          throw refused(
              "%s and %s both tell of %s"
                  .formatted(other, part.file(), test.path("id").asString("")));
        }
        tests.add(test);
      }
    }
    int code = anyRun ? worst : NOTHING_RUN;
    int whole = code == 0 && tests.size() < collected ? FAILED : code;
    return new Parts(collected, tests, whole, List.copyOf(parts.values()));
  }

  /**
   * Writes the shards' JUnit reports as one.
   *
   * @throws ForkdException INVALID when a shard was run without one
   */
  public void writeJunit(Path file) throws IOException {
    for (Part part : shards) {
      if (!part.told().has("junit")) {
        throw refused(
            part.file() + " tells of no JUnit report: its shard was run without --junitxml");
      }
    }
    new JunitReport(shards.stream().map(part -> part.told().path("junit")).toList()).write(file);
  }

  /** How many tests have each verdict. */
  public Map<String, Integer> counts() {
    Map<String, Integer> counts = new TreeMap<>();
    tests.forEach(test -> counts.merge(test.path("verdict").asString(""), 1, Integer::sum));
    return counts;
  }

  /** Ids of the tests that did not do what they should. */
  public Set<String> failures() {
    return tests.stream()
        .filter(test -> FAILURES.contains(test.path("verdict").asString("")))
        .map(test -> test.path("id").asString(""))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private static ForkdException refused(String why) {
    return new ForkdException(FailureKind.INVALID, "cannot merge: " + why);
  }
}
