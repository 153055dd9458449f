package dev.forkd.rules;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * A file that a person wrote.
 *
 * @param path relative to the root of the repository
 * @param language java, c, py or sh
 * @param lines its text
 */
record SourceFile(Path path, String language, List<String> lines) {
  private static final List<String> TREES =
      List.of("src", "native", "python", "scripts", "bench", "e2e", "recipes");
  private static final List<String> SCRIPTS = List.of("forkd", ".ci/run");
  private static final Set<String> GENERATED = Set.of("build", "__pycache__", ".pytest_cache");

  SourceFile {
    lines = List.copyOf(lines);
  }

  /** All sources below the root of the repository. */
  static List<SourceFile> all(Path root) throws IOException {
    List<SourceFile> found = new ArrayList<>();
    for (String script : SCRIPTS) {
      found.add(read(root, root.resolve(script), "sh"));
    }
    for (String tree : TREES) {
      Path start = root.resolve(tree);
      if (Files.isDirectory(start)) {
        Files.walkFileTree(start, new Collector(root, found));
      }
    }
    return List.copyOf(found);
  }

  private static SourceFile read(Path root, Path file, String language) throws IOException {
    return new SourceFile(root.relativize(file), language, Files.readAllLines(file));
  }

  /** The language of a file by its name; empty for what is no source. */
  private static String languageOf(Path file) {
    String name = file.getFileName().toString();
    return switch (name.substring(name.lastIndexOf('.') + 1)) {
      case "java" -> "java";
      case "c", "h" -> "c";
      case "py" -> "py";
      case "sh" -> "sh";
      default -> "";
    };
  }

  private static final class Collector extends SimpleFileVisitor<Path> {
    private final Path root;
    private final List<SourceFile> found;

    Collector(Path root, List<SourceFile> found) {
      this.root = root;
      this.found = found;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes) {
      return GENERATED.contains(directory.getFileName().toString())
          ? FileVisitResult.SKIP_SUBTREE
          : FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      String language = languageOf(file);
      if (attributes.isRegularFile() && !language.isEmpty()) {
        found.add(read(root, file, language));
      }
      return FileVisitResult.CONTINUE;
    }
  }
}
