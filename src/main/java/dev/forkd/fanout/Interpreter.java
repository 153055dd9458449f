package dev.forkd.fanout;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The project's Python.
 *
 * @param path the command
 * @param places directories that it needs and that a sandbox does not see by itself
 */
public record Interpreter(Path path, List<Path> places) {
  private static final Path SYSTEM = Path.of("/usr/bin/python3");

  /** Where an image of the host shows everything. */
  private static final List<Path> SEEN = List.of(Path.of("/usr"), Path.of("/opt"));

  public Interpreter {
    places = List.copyOf(places);
  }

  /**
   * The one that was named, else that of the active virtual environment, else of one in the
   * project, else the system's.
   *
   * @param named as the user gave it, absolute; "" = none
   * @param active VIRTUAL_ENV; "" = none
   * @throws ForkdException INVALID when it is none
   */
  public static Interpreter find(String named, String active, Path root) {
    Path path = choose(named, active, root);
    if (!Files.isExecutable(path)) {
      throw new ForkdException(
          FailureKind.INVALID,
          "there is no Python at " + path + ": name the project's with --python");
    }
    Set<Path> places = new LinkedHashSet<>();
    try {
      for (Path one = path; ; one = one.resolveSibling(Files.readSymbolicLink(one)).normalize()) {
        Path prefix = prefix(one);
        if (SEEN.stream().noneMatch(prefix::startsWith)) {
          places.add(prefix);
        }
        if (!Files.isSymbolicLink(one)) {
          return new Interpreter(path, List.copyOf(places));
        }
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "cannot follow " + path + ": " + e).thrown(e);
    }
  }

  /** The directory above its bin: where its libraries are. */
  private static Path prefix(Path python) {
    Path bin = python.getParent();
    Path prefix = bin == null ? python : bin.getParent();
    if (prefix == null || prefix.getNameCount() == 0) {
      return Path.of("/usr"); // /bin/python3 of a system where /bin is a link
    }
    return prefix;
  }

  private static Path choose(String named, String active, Path root) {
    if (!named.isEmpty()) {
      return Path.of(named).normalize();
    }
    if (!active.isEmpty()) {
      return Path.of(active).resolve("bin/python3").normalize();
    }
    for (String directory : List.of(".venv", "venv")) {
      Path inside = root.resolve(directory).resolve("bin/python3");
      if (Files.isExecutable(inside)) {
        return inside;
      }
    }
    return SYSTEM;
  }
}
