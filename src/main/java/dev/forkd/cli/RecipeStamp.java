package dev.forkd.cli;

import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** Remembers of which recipe, files included, a snapshot was made. */
final class RecipeStamp {
  private static final int MAX_FILES = 10_000;

  private final Path directory;
  private final Path file;

  /** A stamp that is kept in that directory. */
  RecipeStamp(Path directory, Tag tag) {
    this.directory = directory;
    this.file = directory.resolve("quickstart-" + tag + ".stamp");
  }

  /** Whether the snapshot was made of the recipe directory as it is now. */
  boolean fits(Path recipe, JsonNode snapshot) throws IOException {
    return Files.isRegularFile(file) && Files.readString(file).equals(text(recipe, snapshot));
  }

  void write(Path recipe, JsonNode snapshot) throws IOException {
    if (Files.isDirectory(directory)) { // a daemon elsewhere has its state elsewhere
      Files.writeString(file, text(recipe, snapshot));
    }
  }

  private static String text(Path recipe, JsonNode snapshot) throws IOException {
    return digest(recipe) + " " + snapshot.path("created_at_unix").asString("") + "\n";
  }

  private static String digest(Path recipe) throws IOException {
    MessageDigest sha = sha256();
    List<Path> files;
    try (Stream<Path> found = Files.walk(recipe)) {
      files = found.filter(RecipeStamp::counts).sorted().limit(MAX_FILES).toList();
    }
    for (Path path : files) {
      byte[] name = recipe.relativize(path).toString().getBytes(StandardCharsets.UTF_8);
      sha.update(name);
      sha.update((byte) 0);
      sha.update(sha256().digest(Files.readAllBytes(path)));
    }
    return HexFormat.of().formatHex(sha.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  private static boolean counts(Path path) {
    return Files.isRegularFile(path) && !path.toString().contains("__pycache__");
  }
}
