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
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The templates in which suites were collected. For each suite one note is kept: the tag of its
 * template, and the files outside of the project that collection has loaded, as they were then.
 */
public final class Templates {
  private static final int KEPT = 6;
  private static final Logger LOG = LoggerFactory.getLogger(Templates.class);
  private static final Pattern NAME = Pattern.compile("[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*){0,20}");
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
    Path note = file(suite);
    JsonNode known = read(note);
    Set<String> written = texts(known.path("written"));
    Tag tag = suite.tag(written);
    String before = known.path("tag").asString("");
    if (before.equals(tag.text()) && unchanged(known) && client.isReady(tag)) {
      Files.setLastModifiedTime(note, FileTime.fromMillis(System.currentTimeMillis()));
      return new Ready(
          tag, false, known.path("workers").asInt(0), known.path("growth").asLong(0), written);
    }
    if (!before.isEmpty()) {
      remove(before);
    }
    if (!collectedFromDependencies(suite, tag, known, written)) {
      client.createSnapshot(suite.creation(tag), progress);
    }
    forgetOld(note);
    return new Ready(
        tag, true, known.path("workers").asInt(0), known.path("growth").asLong(0), written);
  }

  /**
   * Makes the template in a fork of one with the dependencies, where that is possible. The first
   * edit makes that one, too.
   */
  private boolean collectedFromDependencies(
      Suite suite, Tag tag, JsonNode known, Set<String> written) throws IOException {
    JsonNode modules = known.path("modules");
    String old = known.path("deps").path("tag").asString("");
    if (modules.isEmpty() || !unchanged(known)) {
      removeDependencies(suite, old);
      return false;
    }
    try {
      Dependencies dependencies = new Dependencies(client, progress);
      var ready = dependencies.ready(suite, modules, known.path("deps"), written);
      if (!old.isEmpty() && !old.equals(ready.tag().text())) {
        remove(old);
      }
      noteDependencies(suite, ready.json());
      dependencies.collect(suite, tag, ready, written);
      return true;
    } catch (ForkdException e) {
      // What a branch cannot carry, say: a new template may, or tells better why not.
      LOG.info("event=dependencies_unusable suite={}", tag, e);
      return false;
    }
  }

  private void removeDependencies(Suite suite, String old) throws IOException {
    if (!old.isEmpty()) {
      remove(old);
      noteDependencies(suite, Json.object());
    }
  }

  private void noteDependencies(Suite suite, ObjectNode deps) throws IOException {
    Path file = file(suite);
    if (Json.parse(Files.readString(file)) instanceof ObjectNode note) {
      note.set("deps", deps);
      replace(file, note);
    }
  }

  /** What names the suite's template as its files are now: changes when one of them does. */
  public Tag now(Suite suite) throws IOException {
    Path note = file(suite);
    JsonNode known = read(note);
    return suite.tag(texts(known.path("written")));
  }

  private Path file(Suite suite) {
    return notes.resolve(suite.slot() + ".json");
  }

  /** What is written there; nothing is known of a suite that has not run. */
  private static JsonNode read(Path note) throws IOException {
    return Files.isRegularFile(note) ? Json.parse(Files.readString(note)) : Json.object();
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
   * @param sources the `files` outside of the project that were loaded, and names of `modules`
   */
  void remember(Suite suite, Ready run, JsonNode sources) throws IOException {
    if (!Files.isDirectory(notes)) {
      if (!Files.isDirectory(notes.resolveSibling("."))) {
        return; // the daemon is elsewhere: its templates are made anew each time
      }
      Files.createDirectories(notes);
    }
    Path file = file(suite);
    ObjectNode note = Json.object().put("tag", run.tag().text()).put("workers", run.workers());
    note.put("growth", run.growth());
    ArrayNode written = note.putArray("written");
    run.written().forEach(written::add);
    JsonNode old = read(file);
    if (old.has("deps")) {
      note.set("deps", old.path("deps"));
    }
    if (!run.fresh() && old.has("sources")) {
      note.set("sources", old.path("sources"));
      note.set("modules", old.path("modules"));
    } else {
      note.set("sources", states(sources.path("files")));
      ArrayNode modules = names(sources.path("modules"));
      // A new template is worth its time for a new package, not for one more module of a known one.
      boolean known = packages(old.path("modules")).containsAll(packages(modules));
      note.set("modules", known && !modules.isEmpty() ? old.path("modules") : modules);
    }
    replace(file, note);
  }

  private void replace(Path file, ObjectNode note) throws IOException {
    Path part = Files.createTempFile(notes, "note", ".part");
    Files.writeString(part, Json.text(note));
    Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
  }

  private static ArrayNode states(JsonNode sources) throws IOException {
    ArrayNode list = Json.array();
    for (JsonNode source : sources) {
      Path file = Path.of(source.asString(""));
      if (file.isAbsolute() && list.size() < MAX_SOURCES) {
        list.addArray().add(file.toString()).add(state(file));
      }
    }
    return list;
  }

  private static Set<String> packages(JsonNode modules) {
    Set<String> packages = new TreeSet<>();
    texts(modules).forEach(name -> packages.add(name.replaceFirst("\\..*", "")));
    return packages;
  }

  /** The sandbox runs any code: what becomes part of a script must be names of modules. */
  private static ArrayNode names(JsonNode modules) {
    ArrayNode list = Json.array();
    for (JsonNode module : modules) {
      String name = module.asString("");
      if (NAME.matcher(name).matches() && list.size() < MAX_SOURCES) {
        list.add(name);
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
      JsonNode known = Json.parse(Files.readString(note));
      remove(known.path("tag").asString(""));
      String dependencies = known.path("deps").path("tag").asString("");
      if (!dependencies.isEmpty()) {
        remove(dependencies);
      }
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
