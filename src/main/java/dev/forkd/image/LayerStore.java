package dev.forkd.image;

import dev.forkd.host.FileTree;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.node.ObjectNode;

/**
 * Directories named by their digest: {@code <digest>/tree} and {@code <digest>/manifest.json}. A
 * layer is built beside its place and renamed into it, so it is whole or absent; one builder at a
 * time per digest, in this process (a lock) and among processes (a locked file).
 */
final class LayerStore {
  private static final Logger LOG = LoggerFactory.getLogger(LayerStore.class);
  private static final Duration LOCK_DEADLINE = Duration.ofMinutes(40);
  private static final String STAGING = ".staging-";

  private final Path dir;
  private final Map<String, ReentrantLock> building = new ConcurrentHashMap<>();

  /** Fills an empty directory. */
  @FunctionalInterface
  interface Builder {
    void build(Path tree) throws IOException;
  }

  LayerStore(Path dir) {
    this.dir = dir;
  }

  /** Makes the store's directory and removes what an interrupted build left. */
  void open() throws IOException {
    Files.createDirectories(
        dir, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    try (var entries = Files.newDirectoryStream(dir, STAGING + "*")) {
      for (Path left : entries) {
        FileTree.delete(left);
        LOG.info("event=staging_removed path={}", left);
      }
    }
  }

  /** Whether that layer is there. */
  boolean has(String digest) {
    return Files.exists(place(digest).resolve("manifest.json"));
  }

  /** Where the tree of that layer is. */
  Path tree(String digest) {
    return place(digest).resolve("tree");
  }

  /** The digest of the layer whose tree that is, or "" when it does not lie in a store. */
  static String digestOf(Path tree) {
    Path parent = tree.getParent();
    String name = parent == null ? "" : String.valueOf(parent.getFileName());
    return ContentDigest.isDigest(name) ? name : "";
  }

  /** Digests of all layers. */
  List<String> digests() throws IOException {
    try (var entries = Files.list(dir)) {
      return entries
          .map(entry -> String.valueOf(entry.getFileName()))
          .filter(ContentDigest::isDigest)
          .sorted()
          .toList();
    }
  }

  /**
   * The tree of a layer, built unless it is there.
   *
   * @param what for messages, such as "files"
   * @throws ForkdException whatever the builder throws; EXHAUSTED when the disk is full. Nothing is
   *     left then
   */
  Path prepare(String digest, String what, Builder builder) {
    if (has(digest)) {
      return tree(digest);
    }
    ReentrantLock lock = building.computeIfAbsent(digest, _ -> new ReentrantLock());
    boolean ours = false;
    try {
      ours = lock.tryLock(LOCK_DEADLINE.toSeconds(), TimeUnit.SECONDS);
      if (!ours) {
        throw new ForkdException(
            FailureKind.TIMEOUT, "layer " + digest + ": somebody else still builds it");
      }
      return has(digest) ? tree(digest) : buildLocked(digest, what, builder);
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
      throw new ForkdException(FailureKind.ENGINE, "layer " + digest + ": interrupted");
    } finally {
      if (ours) {
        lock.unlock();
      }
    }
  }

  private Path buildLocked(String digest, String what, Builder builder)
      throws InterruptedException {
    Path lockFile = dir.resolve(digest + ".lock");
    try (FileChannel channel =
        FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      lock(channel, digest);
      return has(digest) ? tree(digest) : build(digest, what, builder);
    } catch (IOException trouble) {
      throw DiskFailure.of("image layer " + what, dir, trouble);
    } finally {
      remove(lockFile);
    }
  }

  private static void remove(Path lockFile) {
    try {
      Files.deleteIfExists(lockFile);
    } catch (IOException trouble) {
      LOG.warn("event=lock_file_left path={} why=\"{}\"", lockFile, trouble.getMessage());
    }
  }

  /** Waits for the file's lock; the wait is done by a thread that can be given up. */
  private static void lock(FileChannel channel, String digest)
      throws InterruptedException, IOException {
    try (ExecutorService waiter = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<?> locked = waiter.submit(() -> channel.lock());
      try {
        locked.get(LOCK_DEADLINE.toSeconds(), TimeUnit.SECONDS);
      } catch (TimeoutException _) {
        locked.cancel(true);
        throw new ForkdException(
            FailureKind.TIMEOUT, "layer " + digest + ": another process still builds it");
      } catch (ExecutionException trouble) {
        throw new IOException("cannot lock", trouble.getCause());
      }
    }
  }

  private Path build(String digest, String what, Builder builder) throws IOException {
    long start = System.nanoTime();
    Path staging = Files.createTempDirectory(dir, STAGING + digest.substring(0, 12) + "-");
    try {
      Path tree = Files.createDirectory(staging.resolve("tree"));
      // Sandboxes see this directory as their "/".
      Files.setPosixFilePermissions(tree, PosixFilePermissions.fromString("rwxr-xr-x"));
      builder.build(tree);
      Path manifest = staging.resolve("manifest.json");
      Files.writeString(manifest, Json.text(manifest(digest, what, FileTree.bytes(tree))));
      FileTree.sync(manifest);
      FileTree.sync(staging);
      publish(staging, digest);
    } finally {
      FileTree.delete(staging);
    }
    long millis = (System.nanoTime() - start) / 1_000_000;
    LOG.info("event=layer_built digest={} what={} ms={}", digest, what, millis);
    return tree(digest);
  }

  private void publish(Path staging, String digest) throws IOException {
    try {
      Files.move(staging, place(digest), StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException taken) {
      // A process that waited on the removed lock file of a failed build may have been faster.
      if (!has(digest)) {
        throw taken;
      }
    }
    FileTree.sync(dir);
  }

  private static ObjectNode manifest(String digest, String what, long bytes) {
    return Json.object()
        .put("digest", digest)
        .put("what", what)
        .put("bytes", bytes)
        .put("created_at_unix", Instant.now().getEpochSecond());
  }

  /** Bytes of that layer's files. */
  long bytes(String digest) throws IOException {
    return Json.parse(Files.readAllBytes(place(digest).resolve("manifest.json")))
        .path("bytes")
        .asLong();
  }

  /** Takes a layer out of the store; the caller removes what is returned with {@link Trees}. */
  Path detach(String digest) throws IOException {
    Path trash = Files.createTempDirectory(dir, STAGING + "removed-");
    Files.move(place(digest), trash.resolve("layer"), StandardCopyOption.ATOMIC_MOVE);
    return trash;
  }

  private Path place(String digest) {
    if (!ContentDigest.isDigest(digest)) {
      throw new ForkdException(FailureKind.INVALID, "not the digest of a layer");
    }
    return dir.resolve(digest);
  }
}
