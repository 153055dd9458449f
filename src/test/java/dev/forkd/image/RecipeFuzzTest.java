package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Mutated recipes: whatever the text, the parser answers with a recipe or an INVALID failure, soon.
 * What an earlier run found is in src/test/resources/fuzz/recipe and is tried first. {@code
 * FORKD_FUZZ_SECONDS} is how long it goes on (default 2), {@code FORKD_FUZZ_SEED} where it starts.
 */
class RecipeFuzzTest {
  private static final Path CORPUS = Path.of("src/test/resources/fuzz/recipe");
  private static final Path HERE = Path.of("/recipes/x");
  private static final Duration SLOW = Duration.ofSeconds(5);
  private static final int LARGEST = 1 << 16;

  private static final List<String> WORDS =
      List.of(
          ": ",
          "- ",
          "\n",
          "  ",
          "\t",
          "[",
          "]",
          "{",
          "}",
          ", ",
          "|",
          ">",
          "|2-",
          "&a ",
          "*a",
          "!!str ",
          "---\n",
          "...\n",
          "%YAML 1.2\n",
          "\"",
          "'",
          "#",
          "? ",
          "<<: ",
          "~",
          "null",
          "true",
          ".inf",
          "0x7fffffffffffffff",
          "1e999",
          "-1",
          "99999999999999999999",
          "1_000",
          "512MiB",
          "9223372036854775807TiB",
          "0.0001",
          "../..",
          "/",
          "\0",
          "\u0085",
          "\u2028",
          "\ufeff",
          "\ud83d\ude00",
          "\\x00",
          "\\u0000",
          "name",
          "image",
          "host",
          "apt",
          "dir",
          "warm",
          "imports",
          "script_file",
          "limits",
          "env",
          "files",
          "from",
          "to",
          "pool",
          "hide",
          "before_snapshot",
          "after_fork",
          "hook_deadline",
          "deadline",
          "runtime",
          "python");

  private final Random random = new Random(setting("FORKD_FUZZ_SEED", 20261125));
  private long recipes;
  private long refusals;

  @Test
  void whateverTheTextTheAnswerIsARecipeOrARefusal() throws IOException {
    List<String> corpus = corpus();
    corpus.forEach(this::tryText);
    long end = System.nanoTime() + Duration.ofSeconds(setting("FORKD_FUZZ_SECONDS", 2)).toNanos();
    long runs = 0;
    while (System.nanoTime() < end || runs < 1_000) {
      String text = mutated(corpus);
      if (tryText(text) && corpus.size() < 2_000) {
        corpus.add(text); // still a recipe: its children reach further than noise does
      }
      runs++;
    }
    System.out.printf("fuzz: %d recipes, %d refusals%n", recipes, refusals);
    assertThat(recipes).isPositive();
    assertThat(refusals).isPositive();
  }

  private static int setting(String name, int usual) {
    return Optional.ofNullable(System.getenv(name)).map(Integer::parseInt).orElse(usual);
  }

  private static List<String> corpus() throws IOException {
    List<String> texts = new ArrayList<>();
    for (Path root : List.of(Path.of("recipes"), CORPUS)) {
      try (Stream<Path> files = Files.walk(root)) {
        for (Path file : files.filter(f -> f.toString().endsWith(".yaml")).sorted().toList()) {
          texts.add(Files.readString(file));
        }
      }
    }
    return texts;
  }

  /** Whether it is a recipe; fails on anything but a recipe or a refusal. */
  private boolean tryText(String text) {
    long start = System.nanoTime();
    boolean recipe = parses(text);
    assertThat(Duration.ofNanos(System.nanoTime() - start)).as("%s", quoted(text)).isLessThan(SLOW);
    return recipe;
  }

  private boolean parses(String text) {
    try {
      RecipeParser.parse(text, HERE);
      recipes++;
      return true;
    } catch (ForkdException refused) {
      assertThat(refused.kind()).as("%s", quoted(text)).isEqualTo(FailureKind.INVALID);
      assertThat(refused.failure().message()).as("%s", quoted(text)).isNotBlank();
      refusals++;
      return false;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError broken) {
      throw new AssertionError("add this to " + CORPUS + ": " + quoted(text), broken);
    }
  }

  private static String quoted(String text) {
    String shown = text.length() > 4_000 ? text.substring(0, 4_000) : text;
    return dev.forkd.json.Json.text(dev.forkd.json.Json.object().put("text", shown));
  }

  private String mutated(List<String> corpus) {
    StringBuilder text = new StringBuilder(pick(corpus));
    for (int i = random.nextInt(6); i >= 0; i--) {
      int at = random.nextInt(text.length() + 1);
      switch (random.nextInt(7)) {
        case 0 -> text.insert(at, pick(WORDS));
        case 1 -> text.delete(at, Math.min(text.length(), at + 1 + random.nextInt(20)));
        case 2 -> text.insert(at, (char) random.nextInt(0x10000));
        case 3 -> text.insert(at, line(pick(corpus)));
        case 4 -> text.insert(at, pick(WORDS).repeat(1 + random.nextInt(200)));
        case 5 -> replaceValue(text, at);
        default -> text.append(line(text.toString()));
      }
    }
    return text.length() > LARGEST ? text.substring(0, LARGEST) : text.toString();
  }

  /** What follows the next colon becomes something else. */
  private void replaceValue(StringBuilder text, int from) {
    int colon = text.indexOf(":", from);
    if (colon >= 0) {
      int end = text.indexOf("\n", colon);
      text.replace(colon + 1, end < 0 ? text.length() : end, " " + pick(WORDS) + pick(WORDS));
    }
  }

  private String line(String text) {
    return pick(List.of(text.split("\n", -1))) + "\n";
  }

  private String pick(List<String> from) {
    return from.get(random.nextInt(from.size()));
  }
}
