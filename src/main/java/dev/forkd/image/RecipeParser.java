package dev.forkd.image;

import dev.forkd.model.Destination;
import dev.forkd.model.EngineName;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import dev.forkd.model.Recipe;
import dev.forkd.model.SystemCalls;
import dev.forkd.model.Tag;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToLongBiFunction;
import java.util.regex.Pattern;

/**
 * Reads a recipe file (YAML). Strict: unknown and repeated keys, wrong types, anchors and unsafe
 * paths are refused with the line they stand in. docs/recipes.md lists every key.
 */
public final class RecipeParser {
  private static final Pattern VARIABLE = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");
  private static final Pattern PACKAGE = Pattern.compile("[a-z0-9][a-z0-9+.-]{1,127}(:[a-z0-9]+)?");
  private static final Pattern SUITE = Pattern.compile("[a-z][a-z0-9-]{0,63}");
  private static final Pattern MIRROR = Pattern.compile("(https?|file)://[!-~]{1,500}");
  private static final String WORKDIR = "/root";
  private static final String INTERPRETER = "/usr/bin/python3";

  private RecipeParser() {}

  /**
   * The recipe in {@code text}.
   *
   * @param text the file's content, at most 1 MiB
   * @param baseDir absolute directory that relative host paths start from
   * @throws ForkdException INVALID with line, path and what to write instead
   */
  public static Recipe parse(String text, Path baseDir) {
    return parse(text, baseDir, WarmSection::content);
  }

  /**
   * The recipe in {@code text} as it was parsed before. No file is read: what a {@code script_file}
   * held then is given.
   *
   * @param script {@link Recipe.WarmUp#script} of that time
   * @throws ForkdException INVALID as for {@link #parse(String, Path)}
   */
  public static Recipe parseAgain(String text, Path baseDir, String script) {
    return parse(text, baseDir, (path, line) -> script);
  }

  private static Recipe parse(String text, Path baseDir, WarmSection.ScriptFiles scripts) {
    Section top =
        new Section(
            "",
            YamlReader.read(text),
            "name",
            "engine",
            "image",
            "packages",
            "files",
            "runtime",
            "warm",
            "workdir",
            "env",
            "limits",
            "syscalls",
            "network",
            "allow",
            "pool");
    Optional<Recipe.RuntimeSpec> runtime = runtime(top);
    if (runtime.isEmpty() && top.node("warm").isPresent()) {
      throw YamlReader.at(
          top.line("warm"), "`warm` needs something to warm; add `runtime: python`");
    }
    return new Recipe(
        name(top),
        engine(top),
        image(top, baseDir),
        top.items("files", (path, node) -> file(path, node, baseDir)),
        runtime,
        WarmSection.read(
            top.node("warm").orElse(new YamlNode.Mapping(top.line(), Map.of(), Map.of())),
            baseDir,
            scripts),
        top.node("workdir").map(node -> InsidePath.of("workdir", node)).orElse(WORKDIR),
        env(top),
        limits(top),
        syscalls(top),
        network(top),
        pool(top),
        text,
        baseDir);
  }

  private static String name(Section top) {
    String name = Section.textOf("name", top.require("name"));
    try {
      return Tag.of("`name`", name).text();
    } catch (ForkdException malformed) {
      throw YamlReader.at(top.line("name"), malformed.failure().message());
    }
  }

  private static Optional<EngineName> engine(Section top) {
    return switch (top.text("engine")) {
      case "", "auto" -> Optional.empty();
      case "process" -> Optional.of(EngineName.PROCESS);
      case "vm" -> Optional.of(EngineName.VM);
      default -> throw YamlReader.at(top.line("engine"), "`engine` must be auto, process or vm");
    };
  }

  private static NetworkPolicy network(Section top) {
    Network kind =
        Network.of(top.text("network"))
            .orElseThrow(
                () -> YamlReader.at(top.line("network"), "`network` must be none, local or nat"));
    if (top.node("allow").isEmpty()) {
      return NetworkPolicy.of(kind);
    }
    try {
      return new NetworkPolicy(
          kind, Optional.of(top.texts("allow").stream().map(Destination::of).toList()));
    } catch (ForkdException e) {
      throw YamlReader.at(top.line("allow"), e.failure().message());
    }
  }

  private static Recipe.Image image(Section top, Path baseDir) {
    List<String> packages = top.items("packages", RecipeParser::packageName);
    Optional<YamlNode> node = top.node("image");
    if (node.isEmpty()) {
      return new Recipe.Image.Host(packages, List.of());
    }
    if (node.get() instanceof YamlNode.Scalar) {
      return switch (Section.textOf("image", node.get())) {
        case "host" -> new Recipe.Image.Host(packages, List.of());
        case "apt" -> new Recipe.Image.Apt("", "", packages);
        default ->
            throw YamlReader.at(
                node.get().line(), "`image` must be host, apt, or a mapping with host, apt or dir");
      };
    }
    Section image = new Section("image", node.get(), "host", "apt", "dir");
    List<String> kinds = List.of("host", "apt", "dir").stream().filter(image::has).toList();
    if (kinds.size() != 1) {
      throw YamlReader.at(image.line(), "`image` must have exactly one of host, apt, dir");
    }
    return switch (kinds.getFirst()) {
      case "host" -> host(image, packages);
      case "apt" -> apt(image, packages);
      default -> directory(image, packages, baseDir);
    };
  }

  private static Recipe.Image host(Section image, List<String> packages) {
    Section host = new Section("image.host", image.require("host"), "hide");
    return new Recipe.Image.Host(packages, host.items("hide", RecipeParser::hidden));
  }

  private static String hidden(String path, YamlNode node) {
    String found = InsidePath.of(path, node);
    if (List.of("/", "/usr", "/etc", "/dev", "/proc", "/sys").contains(found)) {
      throw YamlReader.at(node.line(), "`" + path + "`: without " + found + " nothing runs");
    }
    return found;
  }

  private static Recipe.Image apt(Section image, List<String> packages) {
    Section apt = new Section("image.apt", image.require("apt"), "suite", "mirror", "packages");
    return new Recipe.Image.Apt(
        matching(apt, "suite", SUITE, "a release name such as bookworm"),
        matching(apt, "mirror", MIRROR, "an http, https or file address without blanks"),
        java.util.stream.Stream.concat(
                packages.stream(), apt.items("packages", RecipeParser::packageName).stream())
            .toList());
  }

  private static String matching(Section section, String key, Pattern form, String wanted) {
    String text = section.text(key);
    if (!text.isEmpty() && !form.matcher(text).matches()) {
      throw YamlReader.at(section.line(key), "`" + section.at(key) + "` must be " + wanted);
    }
    return text;
  }

  private static Recipe.Image directory(Section image, List<String> packages, Path baseDir) {
    if (!packages.isEmpty()) {
      throw YamlReader.at(
          image.line("dir"), "`packages` cannot be installed into `image.dir`; use `image: apt`");
    }
    return new Recipe.Image.Directory(hostPath("image.dir", image.require("dir"), baseDir));
  }

  private static String packageName(String path, YamlNode node) {
    String name = Section.textOf(path, node);
    if (!PACKAGE.matcher(name).matches()) {
      throw YamlReader.at(
          node.line(), "`" + path + "`: `" + name + "` is not the name of a Debian package");
    }
    return name;
  }

  private static Recipe.CopiedFile file(String path, YamlNode node, Path baseDir) {
    Section file = new Section(path, node, "from", "to", "tree");
    return new Recipe.CopiedFile(
        hostPath(path + ".from", file.require("from"), baseDir),
        InsidePath.ofContent(path + ".to", file.require("to")),
        flag(file, "tree"));
  }

  private static boolean flag(Section section, String key) {
    return switch (section.text(key)) {
      case "true" -> true;
      case "", "false" -> false;
      default ->
          throw YamlReader.at(section.line(key), "`" + section.at(key) + "` must be true or false");
    };
  }

  /** A path of the host: absolute, or from the recipe's directory. */
  static Path hostPath(String path, YamlNode node, Path baseDir) {
    String text = Section.textOf(path, node);
    try {
      if (!text.isEmpty()) {
        return baseDir.resolve(text).normalize();
      }
    } catch (InvalidPathException _) {
      throw YamlReader.at(node.line(), "`" + path + "` is not a path");
    }
    throw YamlReader.at(node.line(), "`" + path + "` is empty");
  }

  private static Optional<Recipe.RuntimeSpec> runtime(Section top) {
    Optional<YamlNode> node = top.node("runtime");
    if (node.isEmpty()) {
      return Optional.empty();
    }
    if (node.get() instanceof YamlNode.Scalar) {
      return language(Section.textOf("runtime", node.get()), node.get().line(), INTERPRETER);
    }
    Section runtime = new Section("runtime", node.get(), "language", "interpreter");
    String interpreter =
        runtime
            .node("interpreter")
            .map(path -> InsidePath.of("runtime.interpreter", path))
            .orElse(INTERPRETER);
    return language(
        Section.textOf("runtime.language", runtime.require("language")),
        runtime.line("language"),
        interpreter);
  }

  private static Optional<Recipe.RuntimeSpec> language(String word, int line, String path) {
    return switch (word) {
      case "none" -> Optional.empty();
      case "python" -> Optional.of(new Recipe.RuntimeSpec(word, path));
      default ->
          throw YamlReader.at(line, "runtime `" + word + "` is not known; known: python, none");
    };
  }

  private static Map<String, String> env(Section top) {
    Map<String, String> env = top.values("env");
    env.forEach((name, value) -> {
      if (!VARIABLE.matcher(name).matches() || value.indexOf('\0') >= 0) {
        throw YamlReader.at(
            top.line("env"), "`env`: `" + name + "` cannot be a variable of an environment");
      }
    });
    return env;
  }

  private static Limits limits(Section top) {
    Optional<YamlNode> node = top.node("limits");
    if (node.isEmpty()) {
      return Limits.DEFAULT;
    }
    Section limits =
        new Section(
            "limits",
            node.get(),
            "memory",
            "pids",
            "cpus",
            "disk",
            "tmp",
            "shm",
            "open_files",
            "io_weight");
    Limits usual = Limits.DEFAULT;
    try {
      return new Limits(
          limit(limits, "memory", Quantity::bytes, usual.memoryBytes()),
          limit(limits, "pids", Section::integerOf, usual.pids()),
          limit(limits, "cpus", Quantity::cpuMillis, usual.cpuMillis()),
          limit(limits, "disk", Quantity::bytes, usual.diskBytes()),
          limit(limits, "tmp", Quantity::bytes, usual.tmpBytes()),
          limit(limits, "shm", Quantity::bytes, usual.shmBytes()),
          limit(limits, "open_files", Section::integerOf, usual.openFiles()),
          limit(limits, "io_weight", Section::integerOf, usual.ioWeight()));
    } catch (ForkdException tooSmall) {
      String message = tooSmall.failure().message();
      throw message.startsWith("recipe ") ? tooSmall : YamlReader.at(limits.line(), message);
    }
  }

  private static long limit(
      Section limits, String key, ToLongBiFunction<String, YamlNode> reader, long usual) {
    return limits.node(key).map(node -> reader.applyAsLong(limits.at(key), node)).orElse(usual);
  }

  private static SystemCalls syscalls(Section top) {
    try {
      return new SystemCalls(top.texts("syscalls"));
    } catch (ForkdException unknown) {
      throw YamlReader.at(top.line("syscalls"), unknown.failure().message());
    }
  }

  private static int pool(Section top) {
    long pool = top.integer("pool").orElse(0L);
    if (pool < 0 || pool > Recipe.MAX_POOL) {
      throw YamlReader.at(top.line("pool"), "`pool` must be 0 to " + Recipe.MAX_POOL);
    }
    return (int) pool;
  }
}
