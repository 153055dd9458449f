package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Recipe;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.regex.Pattern;

/** The {@code warm} key of a recipe. */
final class WarmSection {
  private static final String NAME = "[\\p{L}_][\\p{L}\\p{N}_]*";
  private static final Pattern MODULE = Pattern.compile(NAME + "(\\." + NAME + ")*");
  private static final Pattern FUNCTION = Pattern.compile(MODULE + ":" + MODULE);
  private static final Pattern HAZARD = Pattern.compile("[a-z0-9][a-z0-9_.-]{0,63}");
  private static final Duration DEADLINE = Duration.ofSeconds(120);
  private static final Duration LONGEST = Duration.ofHours(1);

  private WarmSection() {}

  /** Where the text of a {@code script_file} comes from. */
  interface ScriptFiles {
    /** The text of the file that stands in that line of the recipe. */
    String text(Path path, int line);
  }

  /**
   * What {@code node} says, with defaults for what it does not say. A {@code script_file} is read
   * here, so that the recipe is complete from then on.
   */
  static Recipe.WarmUp read(YamlNode node, Path baseDir, ScriptFiles scripts) {
    Section warm =
        new Section(
            "warm",
            node,
            "imports",
            "script",
            "script_file",
            "functions",
            "path",
            "seed",
            "allow",
            "deadline",
            "before_snapshot",
            "after_fork",
            "hook_deadline",
            "exec");
    return new Recipe.WarmUp(
        warm.items("imports", (path, item) -> name(path, item, MODULE, "a module such as a.b")),
        script(warm, baseDir, scripts),
        warm.items("functions", (path, item) -> name(path, item, FUNCTION, "module:function")),
        warm.items("path", InsidePath::of),
        seed(warm),
        warm.items("allow", (path, item) -> name(path, item, HAZARD, "the name of a hazard")),
        deadline(warm, "deadline", DEADLINE),
        new Recipe.Hooks(
            warm.text("before_snapshot"),
            warm.text("after_fork"),
            deadline(warm, "hook_deadline", Recipe.Hooks.NONE.deadline())),
        warm.flag("exec", true));
  }

  private static String name(String path, YamlNode item, Pattern form, String wanted) {
    String text = Section.textOf(path, item);
    if (text.length() > 500 || !form.matcher(text).matches()) {
      throw YamlReader.at(
          item.line(), "`" + path + "` must be " + wanted + ", but is `" + text + "`");
    }
    return text;
  }

  private static String script(Section warm, Path baseDir, ScriptFiles scripts) {
    Optional<YamlNode> file = warm.node("script_file");
    if (file.isEmpty()) {
      return warm.text("script");
    }
    if (warm.node("script").isPresent()) {
      throw YamlReader.at(
          warm.line("script_file"), "`warm` has both `script` and `script_file`; keep one");
    }
    return scripts.text(
        RecipeParser.hostPath("warm.script_file", file.get(), baseDir), warm.line("script_file"));
  }

  /** The text that the file holds now. */
  static String content(Path path, int line) {
    try {
      if (!Files.isRegularFile(path) || Files.size(path) > YamlReader.MAX_BYTES) {
        throw YamlReader.at(line, "`warm.script_file`: " + path + " is no file of at most 1 MiB");
      }
      return Files.readString(path, StandardCharsets.UTF_8);
    } catch (CharacterCodingException odd) {
      throw unreadable(path, line, "it is not UTF-8", odd);
    } catch (IOException unreadable) {
      throw unreadable(path, line, String.valueOf(unreadable.getMessage()), unreadable);
    }
  }

  private static RuntimeException unreadable(Path path, int line, String why, IOException cause) {
    return new Failure(
            FailureKind.INVALID,
            "recipe line " + line + ": `warm.script_file`: cannot read " + path + ": " + why)
        .thrown(cause);
  }

  private static Optional<Long> seed(Section warm) {
    Optional<Long> seed = warm.integer("seed");
    // numpy's legacy generator takes 32 bits.
    if (seed.isPresent() && (seed.get() < 0 || seed.get() > 0xffff_ffffL)) {
      throw YamlReader.at(warm.line("seed"), "`warm.seed` must be 0 to 4294967295");
    }
    return seed;
  }

  private static Duration deadline(Section warm, String key, Duration usual) {
    Duration deadline =
        warm.node(key).map(node -> Quantity.duration(warm.at(key), node)).orElse(usual);
    if (deadline.isZero() || deadline.compareTo(LONGEST) > 0) {
      throw YamlReader.at(warm.line(key), "`" + warm.at(key) + "` must be more than 0, up to 1h");
    }
    return deadline;
  }
}
