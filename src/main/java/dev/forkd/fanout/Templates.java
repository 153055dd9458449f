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
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
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
   * @param workers how many workers the suite's last run had; 0 when it has not run
   * @param growth bytes that a worker came to have for itself; 0 when it has not run
   * @param written files that earlier runs wrote
   */
  record Ready(Tag tag, boolean fresh, int workers, long growth, Set<String> written) {
    Ready {
      written = Set.copyOf(written);
    }
  }

  /** The template of the suite as it is now; made if need be. */
  Ready ready(Suite suite) throws IOException {
    Path note = notes.resolve(suite.slot() + ".json");
    JsonNode known = Files.isRegularFile(note) ? Json.parse(Files.readString(note)) : Json.object();
    Set<String> written = texts(known.path("written"));
    Tag tag = suite.tag(written);
    String before = known.path("tag").asString("");
    if (before.equals(tag.text()) && unchanged(known) && exists(tag)) {
      Files.setLastModifiedTime(note, FileTime.fromMillis(System.currentTimeMillis()));
      return new Ready(
          tag, false, known.path("workers").asInt(0), known.path("growth").asLong(0), written);
    }
    if (!before.isEmpty()) {
      remove(before);
    }
    client.createSnapshot(suite.creation(tag), progress);
    forgetOld(note);
    return new Ready(
        tag, true, known.path("workers").asInt(0), known.path("growth").asLong(0), written);
  }

  /** What names the suite's template as its files are now: changes when one of them does. */
  public Tag now(Suite suite) throws IOException {
    Path note = notes.resolve(suite.slot() + ".json");
    JsonNode known = Files.isRegularFile(note) ? Json.parse(Files.readString(note)) : Json.object();
    return suite.tag(texts(known.path("written")));
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

  private static Set<String> texts(JsonNode list) {
    Set<String> texts = new TreeSet<>();
    list.forEach(one -> texts.add(one.asString("")));
    return texts;
  }

  /**
   * Remembers a template after a run.
   *
   * @param run what is to be known of it the next time
   * @param sources the files outside of the project that were loaded; empty: as known already
   */
  void remember(Suite suite, Ready run, List<String> sources) throws IOException {
    if (!Files.isDirectory(notes)) {
      if (!Files.isDirectory(notes.resolveSibling("."))) {
        return; // the daemon is elsewhere: its templates are made anew each time
      }
      Files.createDirectories(notes);
    }
    Path file = notes.resolve(suite.slot() + ".json");
    ObjectNode note = Json.object().put("tag", run.tag().text()).put("workers", run.workers());
    note.put("growth", run.growth());
    ArrayNode written = note.putArray("written");
    run.written().forEach(written::add);
    if (!run.fresh() && Files.isRegularFile(file)) {
      note.set("sources", Json.parse(Files.readString(file)).path("sources"));
    } else {
      note.set("sources", states(sources));
    }
    Path part = Files.createTempFile(notes, "note", ".part");
    Files.writeString(part, Json.text(note));
    Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
  }

  private static ArrayNode states(List<String> sources) throws IOException {
    ArrayNode list = Json.array();
    for (String source : sources.subList(0, Math.min(sources.size(), MAX_SOURCES))) {
      Path file = Path.of(source);
      if (file.isAbsolute()) {
        list.addArray().add(source).add(state(file));
      }
    }
    return list;
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
