package dev.forkd.fanout;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The templates in which suites were collected. For each suite one note is kept: the tag of its
 * template, and the files outside of the project that collection has loaded, as they were then.
 */
public final class Templates {
  private static final int KEPT = 6;
  private static final int MAX_SOURCES = 100_000;

  private final ForkdClient client;
  private final Path notes;
  private final Consumer<JsonNode> progress;

  /**
   * Templates of a daemon.
   *
   * @param notes directory for what is remembered about them; made when its parent exists
   * @param progress is told what making one is at
   */
  public Templates(ForkdClient client, Path notes, Consumer<JsonNode> progress) {
    this.client = client;
    this.notes = notes;
    this.progress = progress;
  }

  /**
   * A suite whose template is there.
   *
   * @param fresh whether it was made just now
   * @param workers how many workers its last run had; 0 when it has not run
   */
  record Ready(Tag tag, boolean fresh, int workers) {}

  /** The template of the suite as it is now; made if need be. */
  Ready ready(Suite suite) throws IOException {
    Tag tag = suite.tag();
    Path note = notes.resolve(suite.slot() + ".json");
    JsonNode known = Files.isRegularFile(note) ? Json.parse(Files.readString(note)) : Json.object();
    String before = known.path("tag").asString("");
    if (before.equals(tag.text()) && unchanged(known) && exists(tag)) {
      Files.setLastModifiedTime(
          note, java.nio.file.attribute.FileTime.fromMillis(System.currentTimeMillis()));
      return new Ready(tag, false, known.path("workers").asInt(0));
    }
    if (!before.isEmpty()) {
      remove(before);
    }
    client.createSnapshot(suite.creation(tag), progress);
    forgetOld(note);
    return new Ready(tag, true, 0);
  }

  private boolean exists(Tag tag) {
    try {
      return client.snapshot(tag).path("status").asString("").equalsIgnoreCase("ready");
    } catch (ForkdException e) {
      if (e.kind() == FailureKind.NOT_FOUND) {
        return false;
      }
      throw e;
    }
  }

  private static boolean unchanged(JsonNode note) throws IOException {
    for (JsonNode source : note.path("sources")) {
      if (!state(Path.of(source.path(0).asString(""))).equals(source.path(1).asString(""))) {
        return false;
      }
    }
    return true;
  }

  private static String state(Path file) throws IOException {
    if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
      return "-";
    }
    return Files.size(file) + " " + Files.getLastModifiedTime(file);
  }

  /** Remembers a template. */
  void remember(Suite suite, Tag tag, List<String> sources, int workers) throws IOException {
    if (!Files.isDirectory(notes)) {
      if (!Files.isDirectory(notes.resolveSibling("."))) {
        return; // the daemon is elsewhere: its templates are made anew each time
      }
      Files.createDirectories(notes);
    }
    ObjectNode note = Json.object().put("tag", tag.text()).put("workers", workers);
    ArrayNode list = note.putArray("sources");
    for (String source : sources.subList(0, Math.min(sources.size(), MAX_SOURCES))) {
      Path file = Path.of(source);
      if (file.isAbsolute()) {
        list.addArray().add(source).add(state(file));
      }
    }
    Path part = Files.createTempFile(notes, "note", ".part");
    Files.writeString(part, Json.text(note));
    Files.move(
        part,
        notes.resolve(suite.slot() + ".json"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }

  /** A daemon holds a bounded number of templates: those not used for longest go first. */
  private void forgetOld(Path current) throws IOException {
    if (!Files.isDirectory(notes)) {
      return;
    }
    List<Path> oldest;
    try (Stream<Path> all = Files.list(notes)) {
      oldest =
          all.filter(path -> path.toString().endsWith(".json") && !path.equals(current))
              .sorted(
                  Comparator.comparingLong((Path path) -> path.toFile().lastModified()).reversed())
              .skip(KEPT - 1L)
              .toList();
    }
    for (Path note : oldest) {
      remove(Json.parse(Files.readString(note)).path("tag").asString(""));
      Files.deleteIfExists(note);
    }
  }

  private void remove(String tag) {
    try {
      client.deleteSnapshot(new Tag(tag), false, false);
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.NOT_FOUND && e.kind() != FailureKind.CONFLICT) {
        throw e; // gone already, or in use by another run, which is well
      }
    }
  }
}
