package dev.forkd.fanout;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.RemoteFiles;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The first fork point: a template in which the project's dependencies are imported. A project that
 * has changed is collected in a fork of it, which becomes the second fork point by a branch, so
 * that an edit costs neither an interpreter nor imports.
 */
final class Dependencies {
  private static final int MAX_CHANGES = 200; // beyond them a new copy of the project is quicker
  private static final long MAX_FILE = 64L << 20;
  private static final Duration COLLECTING = Duration.ofHours(1);

  private final ForkdClient client;
  private final Consumer<JsonNode> progress;

  Dependencies(ForkdClient client, Consumer<JsonNode> progress) {
    this.client = client;
    this.progress = progress;
  }

  /**
   * What is known of the template.
   *
   * @param files of the project as the template has them: path and state
   */
  record Known(Tag tag, Map<String, String> files) {
    Known {
      files = Map.copyOf(files);
    }

    static Known of(JsonNode note) {
      Map<String, String> files = new TreeMap<>();
      note.path("files")
          .properties()
          .forEach(one -> files.put(one.getKey(), one.getValue().asString("")));
      return new Known(new Tag(note.path("tag").asString("none")), files);
    }

    ObjectNode json() {
      ObjectNode note = Json.object().put("tag", tag.text());
      ObjectNode all = note.putObject("files");
      new TreeMap<>(files).forEach(all::put);
      return note;
    }
  }

  /** A template for these modules: the known one where it fits, else a new one. */
  Known ready(Suite suite, JsonNode modules, JsonNode note, Set<String> written)
      throws IOException {
    Tag tag = suite.dependenciesTag(modules);
    Known known = Known.of(note);
    Map<String, String> now = Digest.states(suite.root(), written);
    boolean usable = known.tag().equals(tag) && changes(known.files(), now).size() <= MAX_CHANGES;
    if (usable && client.isReady(tag)) {
      return known;
    }
    client.createSnapshot(suite.dependencies(tag, modules), progress);
    return new Known(tag, now);
  }

  /** Makes the suite's template from it. */
  void collect(Suite suite, Tag tag, Known known, Set<String> written) throws IOException {
    JsonNode made = client.fork(Json.object().put("snapshot_tag", known.tag().text()).put("n", 1));
    SandboxId id = new SandboxId(made.path(0).path("id").asString(""));
    try {
      Map<String, String> now = Digest.states(suite.root(), written);
      for (String path : changes(known.files(), now)) {
        bring(client.files(id), path, now.containsKey(path));
      }
      JsonNode collected = client.eval(id, suite.late(), COLLECTING);
      if (collected.path("exit_code").asInt(1) != 0) {
        throw new ForkdException(
            FailureKind.ENGINE, "collecting failed: " + collected.path("error").asString(""));
      }
      client.branch(id, Json.object().put("tag", tag.text()));
    } finally {
      client.destroy(id);
    }
  }

  /** Paths that differ, directories before what is in them. */
  private static List<String> changes(Map<String, String> before, Map<String, String> now) {
    List<String> changed = new ArrayList<>();
    now.forEach((path, state) -> {
      if (!state.equals(before.get(path))) {
        changed.add(path);
      }
    });
    changed.sort(Comparator.naturalOrder());
    before.keySet().stream()
        .filter(path -> !now.containsKey(path))
        .sorted(Comparator.reverseOrder())
        .forEach(changed::add);
    return changed;
  }

  private static void bring(RemoteFiles files, String text, boolean there) throws IOException {
    Path path = Path.of(text);
    if (!there) {
      files.remove(text, true);
    } else if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
      files.makeDirectory(text);
    } else if (Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)
        && Files.size(path) <= MAX_FILE) {
      Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(path);
      int mode = permissions.contains(PosixFilePermission.OWNER_EXECUTE) ? 0755 : 0644;
      try (InputStream content = Files.newInputStream(path)) {
        files.write(text, mode, content);
      }
    } else {
      throw new ForkdException(
          FailureKind.UNSUPPORTED, text + " is no file or directory that can be brought along");
    }
  }
}
