package dev.forkd.image;

import dev.forkd.host.FileTree;
import dev.forkd.json.Json;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The images' manifests, and which layers they keep alive. */
final class ImageIndex {
  private final Path dir;
  private final LayerStore layers;
  private final ReentrantLock lock = new ReentrantLock();

  /** Layers that are being built into images whose manifest is not yet written; with repeats. */
  private final List<String> inUse = new ArrayList<>();

  ImageIndex(Path dir, LayerStore layers) {
    this.dir = dir;
    this.layers = layers;
  }

  /** Keeps a layer from being removed while it is open. */
  interface Use extends AutoCloseable {
    @Override
    void close();
  }

  Use use(String layer) {
    lock.lock();
    try {
      inUse.add(layer);
    } finally {
      lock.unlock();
    }
    return () -> {
      lock.lock();
      try {
        inUse.remove(layer);
      } finally {
        lock.unlock();
      }
    };
  }

  /** Records an image whose layers are all there. */
  void put(String kind, RootImage image) throws IOException {
    lock.lock();
    try {
      if (get(image.digest()).isPresent()) {
        return;
      }
      Path staging = Files.createTempFile(dir, ".manifest-", "");
      try {
        Files.writeString(staging, Json.text(manifest(kind, image)));
        FileTree.sync(staging);
        Files.move(staging, path(image.digest()), StandardCopyOption.ATOMIC_MOVE);
        FileTree.sync(dir);
      } finally {
        Files.deleteIfExists(staging);
      }
    } finally {
      lock.unlock();
    }
  }

  private static ObjectNode manifest(String kind, RootImage image) {
    ObjectNode manifest =
        Json.object()
            .put("digest", image.digest())
            .put("kind", kind)
            .put("created_at_unix", Instant.now().getEpochSecond());
    ArrayNode stack = manifest.putArray("layers");
    for (RootImage.Layer layer : image.layers()) {
      stack
          .addObject()
          .put("path", layer.path().toString())
          .put("id_mapped", layer.idMapped())
          .put("copied", layer.copied());
    }
    image.hidden().forEach(manifest.putArray("hidden")::add);
    image.writable().forEach(manifest.putArray("writable")::add);
    return manifest;
  }

  /** The image of that digest, unless it or one of its layers is missing. */
  Optional<RootImage> get(String digest) throws IOException {
    Optional<JsonNode> manifest = read(digest);
    if (manifest.isEmpty()) {
      return Optional.empty();
    }
    List<RootImage.Layer> stack = new ArrayList<>();
    for (JsonNode layer : manifest.get().path("layers")) {
      stack.add(
          new RootImage.Layer(
              Path.of(layer.path("path").asString()),
              layer.path("id_mapped").asBoolean(),
              layer.path("copied").asBoolean()));
    }
    if (stack.stream().anyMatch(layer -> !Files.isDirectory(layer.path()))) {
      return Optional.empty();
    }
    return Optional.of(
        new RootImage(
            digest, stack, texts(manifest.get(), "hidden"), texts(manifest.get(), "writable")));
  }

  /** What sort of image has that digest; "" when there is none. */
  String kind(String digest) throws IOException {
    return read(digest).map(manifest -> manifest.path("kind").asString("")).orElse("");
  }

  private static List<String> texts(JsonNode manifest, String key) {
    List<String> texts = new ArrayList<>();
    manifest.path(key).forEach(text -> texts.add(text.asString()));
    return texts;
  }

  private Optional<JsonNode> read(String digest) throws IOException {
    if (!ContentDigest.isDigest(digest)) {
      return Optional.empty();
    }
    try {
      return Optional.of(Json.parse(Files.readAllBytes(path(digest))));
    } catch (NoSuchFileException _) {
      return Optional.empty();
    }
  }

  List<StoredImage> list() throws IOException {
    List<StoredImage> images = new ArrayList<>();
    for (String digest : digests()) {
      Optional<JsonNode> manifest = read(digest);
      if (manifest.isPresent()) {
        images.add(
            new StoredImage(
                digest,
                manifest.get().path("kind").asString(),
                manifest.get().path("created_at_unix").asLong(),
                bytes(manifest.get())));
      }
    }
    return images;
  }

  /** Of all images and of all layers. */
  Set<String> allDigests() throws IOException {
    Set<String> all = new HashSet<>(digests());
    all.addAll(layers.digests());
    return all;
  }

  private long bytes(JsonNode manifest) throws IOException {
    long bytes = 0;
    Set<String> ours = layersOf(manifest);
    for (String layer : layers.digests()) {
      bytes += ours.contains(layer) ? layers.bytes(layer) : 0;
    }
    return bytes;
  }

  private List<String> digests() throws IOException {
    try (var files = Files.list(dir)) {
      return files
          .map(file -> String.valueOf(file.getFileName()))
          .filter(name -> name.endsWith(".json"))
          .map(name -> name.substring(0, name.length() - ".json".length()))
          .filter(ContentDigest::isDigest)
          .sorted()
          .toList();
    }
  }

  /** Removes a manifest and the layers that nothing names any more. */
  long remove(String digest) throws IOException {
    List<Path> trash = new ArrayList<>();
    long freed = 0;
    lock.lock();
    try {
      Optional<JsonNode> manifest = read(digest);
      if (manifest.isEmpty()) {
        return 0;
      }
      Files.delete(path(digest));
      Set<String> kept = new HashSet<>(inUse);
      for (String other : digests()) {
        read(other).ifPresent(image -> kept.addAll(layersOf(image)));
      }
      for (String layer : layersOf(manifest.get())) {
        if (!kept.contains(layer) && layers.has(layer)) {
          freed += layers.bytes(layer);
          trash.add(layers.detach(layer));
        }
      }
    } finally {
      lock.unlock();
    }
    for (Path tree : trash) {
      FileTree.delete(tree);
    }
    return freed;
  }

  /** Digests of the layers of an image that lie in the store: {@code .../<digest>/tree}. */
  private static Set<String> layersOf(JsonNode manifest) {
    Set<String> digests = new HashSet<>();
    for (JsonNode layer : manifest.path("layers")) {
      String digest = LayerStore.digestOf(Path.of(layer.path("path").asString()));
      if (!digest.isEmpty()) {
        digests.add(digest);
      }
    }
    return digests;
  }

  private Path path(String digest) {
    return dir.resolve(digest + ".json");
  }
}
