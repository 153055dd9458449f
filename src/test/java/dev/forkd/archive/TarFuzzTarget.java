package dev.forkd.archive;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A tar that nobody vouches for: it is unpacked into its directory, or refused and leaves nothing;
 * there is no third, and nothing appears beside the directory.
 */
public final class TarFuzzTarget {
  private static final Path BOX = box();

  private TarFuzzTarget() {}

  private static Path box() {
    try {
      Path made = Files.createTempDirectory("forkd-fuzz-tar");
      made.toFile().deleteOnExit(); // it is empty between two inputs
      return made;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Entry of the fuzzer. */
  public static void fuzzerTestOneInput(byte[] data) throws IOException {
    List<String> wanted = List.of("in");
    try {
      HostTree.unpack(new ByteArrayInputStream(data), BOX.resolve("in"));
    } catch (ForkdException refused) {
      wanted = List.of();
      if (refused.kind() != FailureKind.INVALID) {
        throw new AssertionError("an odd refusal: " + refused, refused);
      }
    }
    List<String> found = names();
    empty();
    if (!found.equals(wanted)) {
      throw new AssertionError("found " + found + " instead of " + wanted);
    }
  }

  private static List<String> names() throws IOException {
    try (Stream<Path> entries = Files.list(BOX)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    }
  }

  private static void empty() throws IOException {
    List<Path> below;
    try (Stream<Path> entries = Files.walk(BOX)) {
      below = entries.skip(1).sorted(Comparator.reverseOrder()).toList();
    }
    for (Path path : below) {
      Files.delete(path);
    }
  }
}
