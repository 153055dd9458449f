package dev.forkd.image;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where this machine's own packages come from.
 *
 * @param suite its release, such as bookworm
 * @param mirror address of its archive
 */
record AptSources(String suite, String mirror) {
  private static final Pattern CODENAME =
      Pattern.compile("VERSION_CODENAME=\"?([a-z][a-z0-9-]*)\"?");
  private static final Pattern ONE_LINE =
      Pattern.compile("deb\\s+(?:\\[[^]]*]\\s+)?(\\S+)\\s+(\\S+)\\s+.*");

  /**
   * Reads {@code <etc>/os-release} and {@code <etc>/apt}.
   *
   * @throws ForkdException INVALID when they do not tell; the recipe has to then
   */
  static AptSources read(Path etc) {
    try {
      String suite =
          Files.readAllLines(etc.resolve("os-release")).stream()
              .map(CODENAME::matcher)
              .filter(Matcher::matches)
              .map(found -> found.group(1))
              .findFirst()
              .orElseThrow(() -> unknown("release", "suite"));
      return new AptSources(
          suite, mirror(etc.resolve("apt"), suite).orElseThrow(() -> unknown("mirror", "mirror")));
    } catch (IOException trouble) {
      throw DiskFailure.of("image: reading " + etc, etc, trouble);
    }
  }

  private static ForkdException unknown(String what, String key) {
    return new ForkdException(
        FailureKind.INVALID,
        "image: this host does not tell its package " + what + "; set `image.apt." + key + "`");
  }

  private static Optional<String> mirror(Path apt, String suite) throws IOException {
    List<String> lines = new ArrayList<>();
    Path single = apt.resolve("sources.list");
    if (Files.isRegularFile(single)) {
      lines.addAll(Files.readAllLines(single));
    }
    Path parts = apt.resolve("sources.list.d");
    if (Files.isDirectory(parts)) {
      try (var files = Files.newDirectoryStream(parts, "*.list")) {
        for (Path file : files) {
          lines.addAll(Files.readAllLines(file));
        }
      }
    }
    Optional<String> found =
        lines.stream()
            .map(line -> ONE_LINE.matcher(line.trim()))
            .filter(line -> line.matches() && line.group(2).equals(suite))
            .map(line -> line.group(1))
            .findFirst();
    return found.isPresent() ? found : stanza(parts, suite);
  }

  /** The first address of a deb822 stanza of that suite. */
  private static Optional<String> stanza(Path parts, String suite) throws IOException {
    if (!Files.isDirectory(parts)) {
      return Optional.empty();
    }
    try (var files = Files.newDirectoryStream(parts, "*.sources")) {
      for (Path file : files) {
        for (String stanza : Files.readString(file).split("\\n\\s*\\n")) {
          Optional<String> uri = field(stanza, "URIs");
          List<String> suites = words(field(stanza, "Suites").orElse(""));
          if (uri.isPresent() && suites.contains(suite)) {
            return words(uri.get()).stream().findFirst();
          }
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<String> field(String stanza, String name) {
    return stanza
        .lines()
        .filter(line -> line.startsWith(name + ":"))
        .map(line -> line.substring(name.length() + 1).trim())
        .findFirst();
  }

  private static List<String> words(String text) {
    return Arrays.stream(text.split("\\s+")).filter(word -> !word.isEmpty()).toList();
  }
}
