package dev.forkd.cli;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.List;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** How {@code forkd test} runs a suite; what the controller is told of it. */
final class TestOptions {
  private static final Pattern SHARD = Pattern.compile("([1-9]\\d{0,3})/([1-9]\\d{0,3})");
  private static final Pattern GRIND = Pattern.compile("(.+)=([1-9]\\d{0,5})", Pattern.DOTALL);

  @Option(
      names = {"-n", "--workers"},
      paramLabel = "N",
      description = "Exactly N workers; default: as many as help, up to the cores.")
  private int workers;

  @Option(
      names = "--by",
      paramLabel = "U",
      description = "Unit of work: auto, test, file, scope or group; default auto.")
  private String by = "auto";

  @Option(
      names = "--isolate",
      paramLabel = "HOW",
      description = "child: a worker runs tests in one process; test: a fresh fork for each.")
  private String isolate = "child";

  @Option(
      names = "--timeout",
      paramLabel = "S",
      description = "Seconds that a test may take; default: its mark's, or no limit.")
  private double timeout;

  @Option(
      names = "--memory",
      paramLabel = "MIB",
      description = "Memory of each worker; a test that wants more fails as out of memory.")
  private int memory;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "Seed random generators before each test, from S and its id.")
  private String seed = "";

  @Option(
      names = "--retries",
      paramLabel = "N",
      description = "Run a test that failed up to N times again, in fresh forks.")
  private int retries;

  @Option(
      names = "--flaky",
      paramLabel = "HOW",
      description = "What a test that passes in a retry counts as: pass or fail; default pass.")
  private String flaky = "pass";

  @Option(
      names = "--shard",
      paramLabel = "I/N",
      description = "Run part I of N: the others run elsewhere.")
  private String shard = "1/1";

  @Option(
      names = "--plan",
      paramLabel = "FILE",
      description = "Keep how the suite is cut into shards: read if it is there, else written.")
  private String plan = "";

  @Option(
      names = "--part",
      paramLabel = "FILE",
      description = "Write what became of this shard, for --merge.")
  private String partFile = "";

  @Option(names = "--times", description = "Tell where the time went, and what limits it.")
  private boolean times;

  @Option(
      names = "--try",
      description = "A plain pytest first, in one sandbox; then tell and explain what differs.")
  private boolean trial;

  @Option(
      names = "--doctor",
      description = "Run, and tell what of the collected state is unsafe or wasteful to fork.")
  private boolean doctor;

  @Option(
      names = "--grind",
      paramLabel = "ID=N",
      description = "Run one test N times, each in a fresh fork; nothing else.")
  private String grind = "";

  @Option(
      names = "--bisect",
      paramLabel = "ID",
      description = "Find the tests before ID that make it fail.")
  private String bisect = "";

  @Option(
      names = "--keep-writes",
      description = "Bring back what tests have written to the project.")
  private boolean keepWrites;

  @Option(
      names = "--json-lines",
      paramLabel = "FILE",
      description = "Write one JSON object for each test.")
  private String jsonLines = "";

  @Option(
      names = "--github",
      description = "Annotations and a summary for GitHub; default where GITHUB_ACTIONS is true.")
  private boolean github;

  @Option(
      names = "--share-fixtures",
      paramLabel = "NAMES",
      split = ",",
      description = "Session fixtures to set up once, before the fork, or all.")
  private List<String> shared = List.of();

  void check() {
    if (workers < 0 || workers > 256 || retries < 0 || retries > 100 || !(timeout >= 0)) {
      throw invalid("-n must be 1..256, --retries 0..100, --timeout not negative");
    }
    if (memory != 0 && memory < 16) {
      throw invalid("--memory is " + memory + ": a worker needs 16 MiB or more");
    }
    among("--by", by, List.of("auto", "test", "file", "scope", "group"));
    among("--isolate", isolate, List.of("child", "test"));
    among("--flaky", flaky, List.of("pass", "fail"));
    if (!grind.isEmpty() && !bisect.isEmpty()) {
      throw invalid("--grind and --bisect exclude each other");
    }
  }

  private static void among(String option, String value, List<String> known) {
    if (!known.contains(value)) {
      throw invalid(option + " is " + value + ", not one of " + String.join(", ", known));
    }
  }

  private static ForkdException invalid(String message) {
    return new ForkdException(FailureKind.INVALID, message);
  }

  private static void named(Console console, ObjectNode options, String name, String file) {
    if (!file.isEmpty()) {
      options.put(name, console.path(file).toString());
    }
  }

  /** Whether what cannot be forked safely is told, and not refused. */
  boolean doctor() {
    return doctor;
  }

  /** Whether tests are run to find something out about them, and not for their verdict. */
  boolean repeats() {
    return trial || !grind.isEmpty() || !bisect.isEmpty();
  }

  /** Where JSON lines go, as the user named it; "" = nowhere. */
  String jsonLines() {
    return jsonLines;
  }

  /** Names of session fixtures that are set up once. */
  List<String> shared() {
    return shared.stream().map(String::strip).filter(name -> !name.isEmpty()).sorted().toList();
  }

  /** Limit of each sandbox; 0 = none. */
  int memoryMib() {
    return memory;
  }

  /** The controller's settings: forkd_pytest/options.py. */
  ObjectNode json(Console console) {
    ObjectNode options =
        Json.object()
            .put("workers", workers > 0 ? workers : Runtime.getRuntime().availableProcessors())
            .put("fixed", workers > 0)
            .put("by", by)
            .put("isolate", isolate)
            .put("timeout", timeout)
            .put("memory", memory)
            .put("seed", seed)
            .put("retries", retries)
            .put("flaky", flaky)
            .put("keep", keepWrites)
            .put("bisect", bisect)
            .put("github", github || console.env("GITHUB_ACTIONS").equals("true"))
            .put("uid", UUID.randomUUID().toString().replace("-", ""));
    Matcher part = SHARD.matcher(shard);
    if (!part.matches() || Integer.parseInt(part.group(1)) > Integer.parseInt(part.group(2))) {
      throw invalid("--shard is " + shard + ", not I/N with 1 <= I <= N");
    }
    options
        .putArray("shard")
        .add(Integer.parseInt(part.group(1)))
        .add(Integer.parseInt(part.group(2)));
    if (!grind.isEmpty()) {
      Matcher many = GRIND.matcher(grind);
      if (!many.matches()) {
        throw invalid("--grind is " + grind + ", not ID=N");
      }
      options.put("grind", many.group(1)).put("times", Integer.parseInt(many.group(2)));
    }
    options.put("clock", times).put("trial", trial).put("doctor", doctor);
    named(console, options, "plan", plan);
    named(console, options, "part", partFile);
    if (!jsonLines.isEmpty()) {
      options.put("lines", console.path(jsonLines).toString());
    }
    if (console.terminal().out()) {
      options.put("columns", console.terminal().columns());
    }
    return options;
  }
}
