package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.NetworkPolicy;
import dev.forkd.model.Recipe;
import dev.forkd.model.SystemCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RecipeParserTest {
  private static final Path BASE = Path.of("/recipes/x");

  private static final String FULL =
      """
      name: full
      engine: process
      image: {host: {hide: [/opt/secret]}}
      packages: [python3-numpy, "libc6:amd64"]
      files:
        - {from: tests, to: /opt/full/tests/}
        - {from: /etc/hostname, to: /opt/full/name}
      runtime: {language: python, interpreter: /opt/python/bin/python3}
      warm:
        imports: [numpy, numpy.linalg]
        script: |
          x = 1
        functions: ["a.b:c"]
        path: [/opt/full]
        seed: 7
        allow: [threads]
        deadline: 1.5s
        before_snapshot: |
          a()
        after_fork: b()
        hook_deadline: 2s
      workdir: /opt/full
      env:
        PLAIN: text
        NUMBER: 1.50
        FLAG: true
        EMPTY: ""
      limits:
        memory: 512MiB
        pids: 100
        open_files: 200
        io_weight: 300
        cpus: 1.5
        disk: 2 GiB
        tmp: 0
        shm: 1048576B
      syscalls: [ptrace, kcmp]
      pool: 4
      """;

  @TempDir Path temp;

  private static Recipe parse(String text) {
    return RecipeParser.parse(text, BASE);
  }

  private static String refusal(String text) {
    try {
      Recipe recipe = parse(text);
      throw new AssertionError("was accepted: " + recipe);
    } catch (ForkdException refused) {
      assertThat(refused.kind()).isEqualTo(FailureKind.INVALID);
      return refused.failure().message();
    }
  }

  @Test
  void readsEveryKey() {
    Recipe recipe = parse(FULL);
    assertThat(recipe)
        .isEqualTo(
            new Recipe(
                "full",
                Optional.of(EngineName.PROCESS),
                new Recipe.Image.Host(
                    List.of("python3-numpy", "libc6:amd64"), List.of("/opt/secret")),
                List.of(
                    new Recipe.CopiedFile(Path.of("/recipes/x/tests"), "/opt/full/tests", false),
                    new Recipe.CopiedFile(Path.of("/etc/hostname"), "/opt/full/name", false)),
                Optional.of(new Recipe.RuntimeSpec("python", "/opt/python/bin/python3")),
                new Recipe.WarmUp(
                    List.of("numpy", "numpy.linalg"),
                    "x = 1\n",
                    List.of("a.b:c"),
                    List.of("/opt/full"),
                    Optional.of(7L),
                    List.of("threads"),
                    Duration.ofMillis(1500),
                    new Recipe.Hooks("a()\n", "b()", Duration.ofSeconds(2))),
                "/opt/full",
                Map.of("PLAIN", "text", "NUMBER", "1.50", "FLAG", "true", "EMPTY", ""),
                new Limits(512L << 20, 100, 1500, 2L << 30, 0, 1 << 20, 200, 300),
                new SystemCalls(List.of("ptrace", "kcmp")),
                NetworkPolicy.NONE,
                4,
                FULL,
                BASE));
  }

  @Test
  void aSystemCallThatCannotBeAskedForIsToldWithThoseThatCan() {
    assertThat(refusal("name: a\nsyscalls: [ptrace, setns]"))
        .contains("line 2", "\"setns\" cannot be asked for", "process_vm_readv");
  }

  @Test
  void theShortestRecipeHasDefaults() {
    Recipe recipe = parse("name: a");
    assertThat(recipe.engine()).isEmpty();
    assertThat(recipe.image()).isEqualTo(new Recipe.Image.Host(List.of(), List.of()));
    assertThat(recipe.runtime()).isEmpty();
    assertThat(recipe.workdir()).isEqualTo("/root");
    assertThat(recipe.limits()).isEqualTo(Limits.DEFAULT);
    assertThat(recipe.warm().deadline()).isEqualTo(Duration.ofSeconds(120));
  }

  @Test
  void imagesHaveShortForms() {
    assertThat(parse("name: a\nimage: host").image()).isInstanceOf(Recipe.Image.Host.class);
    assertThat(parse("name: a\nimage: {host: }").image()).isInstanceOf(Recipe.Image.Host.class);
    assertThat(parse("name: a\nimage: apt\npackages: python3").image())
        .isEqualTo(new Recipe.Image.Apt("", "", List.of("python3")));
    assertThat(
            parse("name: a\nimage: {apt: {suite: sid, mirror: http://m/d, packages: [b1]}}")
                .image())
        .isEqualTo(new Recipe.Image.Apt("sid", "http://m/d", List.of("b1")));
    assertThat(parse("name: a\nimage: {dir: ../root}").image())
        .isEqualTo(new Recipe.Image.Directory(Path.of("/recipes/root")));
  }

  @Test
  void runtimeHasAShortForm() {
    assertThat(parse("name: a\nruntime: python").runtime())
        .contains(new Recipe.RuntimeSpec("python", "/usr/bin/python3"));
    assertThat(parse("name: a\nruntime: none").runtime()).isEmpty();
    assertThat(refusal("name: a\nruntime: node")).contains("`node`").contains("python");
  }

  @Test
  void unknownKeysNameTheNearestOne() {
    assertThat(refusal("name: a\nruntime: python\nwarm:\n  imprts: [os]\n"))
        .isEqualTo("recipe line 4: unknown key `imprts` in `warm`; did you mean `imports`?");
    assertThat(refusal("name: a\nnothing_like_it: 1"))
        .startsWith("recipe line 2: unknown key `nothing_like_it`; known are name, engine");
  }

  @Test
  void repeatedKeysNameBothLines() {
    assertThat(refusal("name: a\npool: 1\nname: b"))
        .isEqualTo("recipe line 3: key `name` is already set in line 1");
    assertThat(refusal("name: a\nenv: {A: 1, A: 2}")).contains("key `A` is already set");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "name: [a]|line 1: `name` must be text, but is a list",
        "name: 7|`name` must be text, but is a whole number",
        "name: ../a|`name` must be 1-64 chars",
        "engine: process|`name` is missing",
        "- a|a recipe must be a mapping (key: value), but is a list",
        "{name: a, engine: docker}|`engine` must be auto, process or vm",
        "{name: a, image: {}}|exactly one of host, apt, dir",
        "{name: a, image: {host: , apt: }}|exactly one of host, apt, dir",
        "{name: a, image: oci}|`image` must be host, apt",
        "{name: a, image: {host: {hide: [/etc]}}}|without /etc nothing runs",
        "{name: a, image: {dir: /x}, packages: [p1]}|cannot be installed",
        "{name: a, image: {apt: {suite: 'a b'}}}|`image.apt.suite` must be a release name",
        "{name: a, image: {apt: {mirror: 'ftp://x'}}}|`image.apt.mirror` must be",
        "{name: a, packages: ['-oDebug=1']}|`packages[0]`: `-oDebug=1` is not the name",
        "{name: a, packages: [p1, [p2]]}|`packages[1]` must be text, but is a list",
        "{name: a, files: [{from: x}]}|`files[0].to` is missing",
        "{name: a, files: [{from: '', to: /opt/x}]}|`files[0].from` is empty",
        "{name: a, files: [{from: x, to: opt}]}|`opt` is not absolute",
        "{name: a, files: [{from: x, to: /opt/../etc}]}|`.` or `..` in it",
        "{name: a, files: [{from: x, to: /opt//x}]}|an empty name",
        "{name: a, files: [{from: x, to: /}]}|cannot hold files of an image",
        "{name: a, files: [{from: x, to: /tmp/x}]}|cannot hold files of an image",
        "{name: a, workdir: x}|`workdir`: `x` is not absolute",
        "{name: a, warm: {imports: [os]}}|add `runtime: python`",
        "{name: a, env: {'A-B': 1}}|`A-B` cannot be a variable",
        "{name: a, env: {A: [1]}}|`env.A` must be text",
        "{name: a, env: {A: }}|`env.A` must be text",
        "{name: a, limits: {memory: 512}}|`limits.memory` must be a size",
        "{name: a, limits: {memory: 512MB}}|`limits.memory` must be a size",
        "{name: a, limits: {memory: 1MiB}}|limit memory is 1048576; the least is 4194304",
        "{name: a, limits: {memory: 99999999TiB}}|more than 1024 TiB",
        "{name: a, limits: {pids: many}}|`limits.pids` must be a whole number, but is text",
        "{name: a, limits: {pids: 99999999999999999999}}|out of range",
        "{name: a, limits: {cpus: two}}|`limits.cpus` must be a number of cores",
        "{name: a, pool: -1}|`pool` must be 0 to 1000",
        "{name: a, pool: 1001}|`pool` must be 0 to 1000",
        "{name: &n a, workdir: *n}|anchors and aliases",
        "{name: 'a|recipe line",
      })
  void mistakesAreTold(String text, String message) {
    assertThat(refusal(text)).startsWith("recipe").contains(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "imports: [os system]|`warm.imports[0]` must be a module",
        "imports: ['os;import x']|must be a module",
        "functions: [a.b]|must be module:function",
        "seed: -1|`warm.seed` must be 0 to 4294967295",
        "allow: ['../x']|the name of a hazard",
        "deadline: 0s|`warm.deadline` must be more than 0",
        "deadline: 2h|up to 1h",
        "deadline: 60|a duration such as 60s",
        "path: [x]|is not absolute",
        "{script: a, script_file: b}|keep one",
        "script_file: /no/such/file.py|is no file of at most 1 MiB",
      })
  void mistakesInWarmAreTold(String warm, String message) {
    String flow = warm.startsWith("{") ? warm : "{" + warm + "}";
    assertThat(refusal("{name: a, runtime: python, warm: " + flow + "}")).contains(message);
  }

  @Test
  void scriptFilesAreReadFromTheRecipesDirectory() throws IOException {
    Files.writeString(temp.resolve("warm.py"), "x = 'ä'\n");
    String text = "{name: a, runtime: python, warm: {script_file: warm.py}}";
    assertThat(RecipeParser.parse(text, temp).warm().script()).isEqualTo("x = 'ä'\n");
    Files.write(temp.resolve("warm.py"), new byte[] {(byte) 0xff});
    assertThatThrownBy(() -> RecipeParser.parse(text, temp)).hasMessageContaining("not UTF-8");
  }

  @Test
  void parsingAgainReadsNoFile() throws IOException {
    Path file = Files.writeString(temp.resolve("warm.py"), "x = 1\n");
    String text = "{name: a, runtime: python, warm: {script_file: warm.py}}";
    Recipe first = RecipeParser.parse(text, temp);
    Files.delete(file);
    assertThat(RecipeParser.parseAgain(text, temp, first.warm().script())).isEqualTo(first);
    String inline = "{name: a, runtime: python, warm: {script: y = 1}}";
    assertThat(RecipeParser.parseAgain(inline, temp, "y = 1"))
        .isEqualTo(RecipeParser.parse(inline, temp));
    String without = "{name: a, runtime: python}";
    assertThat(RecipeParser.parseAgain(without, temp, ""))
        .isEqualTo(RecipeParser.parse(without, temp));
  }

  @Test
  void aliasesAreRefusedBeforeTheyCanGrow() {
    StringBuilder bomb = new StringBuilder("name: a\nenv:\n  a: &a [x]\n");
    for (char c = 'b'; c < 'z'; c++) {
      char before = (char) (c - 1);
      bomb.append("  %c: &%c [*%c, *%c, *%c]\n".formatted(c, c, before, before, before));
    }
    assertThat(refusal(bomb.toString())).contains("line 3: anchors and aliases");
  }

  @Test
  void sizeDepthAndCountAreBounded() {
    assertThat(refusal("name: a\n# " + "x".repeat(1 << 20))).contains("longer than 1 MiB");
    assertThat(refusal("name: " + "[".repeat(40) + "]".repeat(40))).contains("16 levels");
    assertThat(refusal("name: a\npackages: [" + "p1, ".repeat(1001) + "]"))
        .contains("more than 1000");
    assertThat(refusal("name: [" + "a, ".repeat(30_000) + "]")).contains("20000 values");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "# nothing", "name: a\n---\nname: b", "\tname: a", "name: !!binary aGk=", "{"})
  void whatIsNoRecipeIsRefused(String text) {
    assertThat(refusal(text)).startsWith("recipe");
  }

  @Test
  void theRecipesOfTheProjectAreValid() throws IOException {
    Path recipes = Path.of("recipes").toAbsolutePath();
    try (var found = Files.list(recipes)) {
      List<Path> dirs = found.filter(Files::isDirectory).toList();
      assertThat(dirs).isNotEmpty();
      for (Path dir : dirs) {
        Recipe recipe = RecipeParser.parse(Files.readString(dir.resolve("recipe.yaml")), dir);
        assertThat(recipe.files()).allSatisfy(file -> assertThat(file.from()).exists());
      }
    }
  }
}
