package dev.forkd.engine.vm;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a branch is on disk (docs/snapshot-format.md): its own pages, those of the snapshots below
 * it (as second names of their files), the state of the devices, and a manifest.
 *
 * @param dir of the snapshot
 */
record BranchFiles(Path dir) {
  private static final int VERSION = 1;
  private static final String LOWER = "lower";
  private static final int MAX_FILES = 64;
  private static final long MAX_MANIFEST = 1 << 20;

  /**
   * What the manifest tells beside the files.
   *
   * @param digests of the page files, the oldest first; the last is the snapshot's own
   */
  record Manifest(
      Machine machine,
      Map<String, String> stamp,
      boolean hasRuntime,
      String report,
      List<String> digests,
      String stateDigest) {}

  /** The snapshot's own pages. */
  Path memory() {
    return dir.resolve("memory.bin");
  }

  /** Which pages they are. */
  Path index() {
    return dir.resolve("memory.index");
  }

  /** The state of the devices. */
  Path state() {
    return dir.resolve("vmstate");
  }

  private Path manifest() {
    return dir.resolve("vm.json");
  }

  /** Pages of a snapshot below; 0 is the eldest. */
  Path lower(int number) {
    return dir.resolve(LOWER).resolve(number + ".bin");
  }

  /** Which pages they are. */
  Path lowerIndex(int number) {
    return dir.resolve(LOWER).resolve(number + ".index");
  }

  void makeLower() throws IOException {
    Files.createDirectories(dir.resolve(LOWER));
  }

  /** The page files of a snapshot that has so many, the oldest first. */
  List<Path> pageFiles(int count) {
    List<Path> files = new ArrayList<>();
    for (int i = 0; i < count - 1; i++) {
      files.add(lower(i));
    }
    files.add(memory());
    return files;
  }

  /** Their indexes. */
  List<PageIndex> indexes(int count, long pages) {
    List<PageIndex> indexes = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      indexes.add(PageIndex.read(i == count - 1 ? index() : lowerIndex(i), pages));
    }
    return indexes;
  }

  /** Writes the manifest; it and all names are on disk when this returns. */
  void write(Manifest manifest) throws IOException {
    ObjectNode json = Json.object();
    json.put("version", VERSION);
    json.set("machine", manifest.machine().json());
    ObjectNode stamp = Json.object();
    new TreeMap<>(manifest.stamp()).forEach(stamp::put);
    json.set("stamp", stamp);
    json.put("runtime", manifest.hasRuntime());
    json.put("report", manifest.report());
    ArrayNode digests = Json.array();
    manifest.digests().forEach(digests::add);
    json.set("pages_sha256", digests);
    json.put("vmstate_sha256", manifest.stateDigest());
    Files.writeString(manifest(), Json.text(json) + "\n");
    for (Path written : List.of(manifest(), state(), dir)) {
      try (FileChannel channel = FileChannel.open(written, StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }

  /**
   * The manifest.
   *
   * @throws ForkdException ENGINE when it is missing or damaged
   */
  Manifest read() {
    JsonNode json;
    try {
      if (Files.size(manifest()) > MAX_MANIFEST) {
        throw damaged(manifest(), "it is too long");
      }
      json = Json.parse(Files.readAllBytes(manifest()));
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "reading " + manifest() + ": " + e).thrown(e);
    } catch (ForkdException e) {
      throw damaged(manifest(), e.failure().message());
    }
    if (json.path("version").asInt(0) != VERSION) {
      throw damaged(manifest(), "its version is not " + VERSION);
    }
    List<String> digests = new ArrayList<>();
    json.path("pages_sha256").forEach(digest -> digests.add(digest.asString("")));
    if (digests.isEmpty() || digests.size() > MAX_FILES) {
      throw damaged(manifest(), "it names " + digests.size() + " page files");
    }
    Map<String, String> stamp = new TreeMap<>();
    json.path("stamp")
        .properties()
        .forEach(fact -> stamp.put(fact.getKey(), fact.getValue().asString("")));
    return new Manifest(
        Machine.of(json.path("machine")),
        stamp,
        json.path("runtime").asBoolean(false),
        json.path("report").asString("{}"),
        digests,
        json.path("vmstate_sha256").asString(""));
  }

  /** The page files; refuses what is not as the manifest says. */
  List<PageFile> check(Path wrapper, Manifest manifest) {
    int count = manifest.digests().size();
    long bytes = manifest.machine().memoryBytes();
    List<PageIndex> indexes = indexes(count, bytes / PageIndex.PAGE_BYTES);
    List<Path> files = pageFiles(count);
    List<PageFile> checked = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Path index = i == count - 1 ? index() : lowerIndex(i);
      String digest = PageStore.digest(wrapper, bytes, files.get(i), index);
      if (!digest.equals(manifest.digests().get(i))) {
        throw damaged(files.get(i), "its digest is not the one in " + manifest().getFileName());
      }
      checked.add(new PageFile(files.get(i), indexes.get(i), digest));
    }
    if (!stateDigest().equals(manifest.stateDigest())) {
      throw damaged(state(), "its digest is not the one in " + manifest().getFileName());
    }
    return checked;
  }

  /** Hex SHA-256 of the state of the devices. */
  String stateDigest() {
    try {
      byte[] sum = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(state()));
      return HexFormat.of().formatHex(sum);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "reading " + state() + ": " + e).thrown(e);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  private static ForkdException damaged(Path file, String how) {
    return new Failure(FailureKind.ENGINE, file + " is damaged: " + how).thrown();
  }
}
