package dev.forkd.store;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** What a daemon leaves on its host when it is killed; looked at while no daemon lives. */
public final class Traces {
  private static final Path CONTROL_GROUPS = Path.of("/sys/fs/cgroup");
  private static final int MAX_DEPTH = 12;

  private Traces() {}

  /** Each trace as a line for people. */
  public static List<String> of(StateDirectory directory, Registry registry) {
    Stream<String> sandboxes =
        registry.sandboxes().stream()
            .filter(row -> row.state() != SandboxRow.State.ENDED)
            .map(row -> "sandbox " + row.id());
    Path run = directory.run();
    String label = "forkd-" + directory.instance();
    return Stream.of(
            sandboxes,
            found(run, path -> !Files.isDirectory(path)).map(path -> "file " + path),
            found(directory.snapshots(), Traces::unfinished).map(path -> "unfinished " + path),
            found(CONTROL_GROUPS, path -> Files.isDirectory(path) && names(path, label))
                .map(path -> "control group " + path))
        .flatMap(traces -> traces)
        .toList();
  }

  private static boolean unfinished(Path path) {
    return Files.isDirectory(path) && path.getFileName().toString().startsWith(".");
  }

  private static boolean names(Path path, String label) {
    for (Path part : path) {
      if (part.toString().equals(label)) {
        return true;
      }
    }
    return false;
  }

  private static Stream<Path> found(Path directory, Predicate<Path> wanted) {
    List<Path> found = new ArrayList<>();
    walk(directory, MAX_DEPTH, wanted, found);
    return found.stream();
  }

  private static void walk(Path directory, int depth, Predicate<Path> wanted, List<Path> found) {
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      for (Path entry : entries) {
        if (wanted.test(entry)) {
          found.add(entry);
        }
        if (depth > 0 && Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS)) {
          walk(entry, depth - 1, wanted, found);
        }
      }
    } catch (NoSuchFileException e) {
      return; // it vanished while we looked, as control groups of others do
    } catch (IOException | DirectoryIteratorException e) {
      throw new ForkdException(FailureKind.ENGINE, "looking through " + directory + ": " + e);
    }
  }
}
