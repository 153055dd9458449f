package dev.forkd.store;

import dev.forkd.host.FileTree;
import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The directories of snapshots: {@code <tag>/snapshot.json}, written whole or not at all. */
public final class SnapshotFiles {
  private static final String MANIFEST = "snapshot.json";
  private static final String FILES = "files";
  private static final String DOOMED = ".deleting-";
  private static final String STAGED = ".staging-";
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");

  private final Path root;

  /** Directories that this daemon is writing or removing; a sweep leaves them alone. */
  private final Set<Path> busy = ConcurrentHashMap.newKeySet();

  /** The snapshots below {@code root}, an existing directory. */
  public SnapshotFiles(Path root) {
    this.root = root;
  }

  /** Where a snapshot of that name is kept. */
  public Path dir(Tag tag) {
    return root.resolve(tag.text());
  }

  /** Whether the snapshot's files are there. */
  public boolean exists(Tag tag) {
    return Files.isRegularFile(dir(tag).resolve(MANIFEST), LinkOption.NOFOLLOW_LINKS);
  }

  /** Writes the manifest, replacing an earlier one at once; on disk when this returns. */
  public void write(Tag tag, ObjectNode manifest) {
    Path dir = dir(tag);
    try {
      Files.createDirectories(dir, PosixFilePermissions.asFileAttribute(PRIVATE));
      write(dir, manifest);
      FileTree.sync(root);
    } catch (IOException e) {
      throw failure("write", dir, e);
    }
  }

  private static void write(Path dir, ObjectNode manifest) throws IOException {
    Path staged = dir.resolve("." + MANIFEST + ".new");
    byte[] text = (Json.text(manifest) + "\n").getBytes(StandardCharsets.UTF_8);
    try (FileChannel channel =
        FileChannel.open(
            staged,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(text);
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
    Files.move(staged, dir.resolve(MANIFEST), StandardCopyOption.ATOMIC_MOVE);
    FileTree.sync(dir);
  }

  /** An empty private directory in which a snapshot of that name can be written. */
  public Path stage(Tag tag) {
    Path dir = root.resolve(STAGED + tag.text() + "-" + System.nanoTime());
    busy.add(dir);
    try {
      return Files.createDirectory(dir, PosixFilePermissions.asFileAttribute(PRIVATE));
    } catch (IOException e) {
      busy.remove(dir);
      throw failure("stage", dir, e);
    }
  }

  /**
   * Gives a staged directory the snapshot's name, in place of what may be there; whole and on disk
   * when this returns. The manifest also lists the files in it, see {@link #lost}.
   */
  public void publish(Path staged, Tag tag, ObjectNode manifest) {
    try {
      ArrayNode files = manifest.putArray(FILES);
      for (Map.Entry<Path, Long> file : FileTree.files(staged).entrySet()) {
        files.addObject().put("path", file.getKey().toString()).put("size", file.getValue());
      }
      FileTree.syncAll(staged);
      write(staged, manifest);
      delete(tag);
      Files.move(staged, dir(tag), StandardCopyOption.ATOMIC_MOVE);
      busy.remove(staged);
      FileTree.sync(root);
    } catch (IOException e) {
      throw failure("publish", staged, e);
    }
  }

  /** Removes a staged directory, if it is still there. */
  public void discard(Path staged) {
    try {
      if (Files.exists(staged, LinkOption.NOFOLLOW_LINKS)) {
        FileTree.delete(staged);
      }
    } catch (IOException e) {
      throw failure("discard", staged, e);
    } finally {
      busy.remove(staged);
    }
  }

  /** The first file of a snapshot that is missing or has another size than it was written with. */
  public Optional<Path> lost(Tag tag) {
    Path manifest = dir(tag).resolve(MANIFEST);
    if (!exists(tag)) {
      return Optional.of(manifest);
    }
    try {
      for (JsonNode file : Json.parse(Files.readAllBytes(manifest)).path(FILES)) {
        Path path = dir(tag).resolve(file.path("path").asString("")).normalize();
        if (!Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)
            || Files.size(path) != file.path("size").asLong(-1)) {
          return Optional.of(path);
        }
      }
      return Optional.empty();
    } catch (IOException | ForkdException e) {
      return Optional.of(manifest); // it cannot be read, which is as good as gone
    }
  }

  /** What tells this snapshot from another one of the same name: its manifest's SHA-256. */
  public String hash(Tag tag) {
    Path manifest = dir(tag).resolve(MANIFEST);
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(manifest));
      return HexFormat.of().formatHex(digest);
    } catch (IOException e) {
      throw failure("read", manifest, e);
    } catch (NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.INTERNAL, "no SHA-256 in this JDK").thrown(e);
    }
  }

  /** Bytes of a snapshot's files without its manifest; 0 when they are gone. */
  public long bytes(Tag tag) {
    try {
      return exists(tag)
          ? FileTree.files(dir(tag)).entrySet().stream()
              .filter(file -> !file.getKey().equals(Path.of(MANIFEST)))
              .mapToLong(Map.Entry::getValue)
              .sum()
          : 0;
    } catch (IOException e) {
      throw failure("read", dir(tag), e);
    }
  }

  /** Removes a snapshot's directory; the name is free at once. */
  public void delete(Tag tag) {
    Path dir = dir(tag);
    try {
      if (Files.exists(dir, LinkOption.NOFOLLOW_LINKS)) {
        remove(dir, root.resolve(DOOMED + tag.text() + "-" + System.nanoTime()));
      }
    } catch (IOException e) {
      throw failure("delete", dir, e);
    }
  }

  private void remove(Path dir, Path doomed) throws IOException {
    busy.add(doomed);
    try {
      Files.move(dir, doomed, StandardCopyOption.ATOMIC_MOVE);
      FileTree.sync(root);
      FileTree.delete(doomed);
    } finally {
      busy.remove(doomed);
    }
  }

  /** The names that have a directory, whatever is in it, and when that last changed, in seconds. */
  public Map<Tag, Long> found() {
    Map<Tag, Long> found = new TreeMap<>();
    try (Stream<Path> entries = Files.list(root)) {
      for (Path entry : entries.toList()) {
        String name = entry.getFileName().toString();
        if (Tag.fits(name) && Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS)) {
          found.put(new Tag(name), Files.getLastModifiedTime(entry).to(TimeUnit.SECONDS));
        }
      }
      return found;
    } catch (IOException e) {
      throw failure("list", root, e);
    }
  }

  /**
   * Finishes deletions that were begun, and removes what was never finished.
   *
   * @return how many directories
   */
  public int sweep() {
    int swept = 0;
    try (Stream<Path> entries = Files.list(root)) {
      for (Path entry : entries.toList()) {
        String name = entry.getFileName().toString();
        boolean ours = name.startsWith(DOOMED) || name.startsWith(STAGED);
        if (ours && !busy.contains(entry)) {
          FileTree.delete(entry);
          swept++;
        }
      }
      return swept;
    } catch (IOException e) {
      throw failure("sweep", root, e);
    } catch (UncheckedIOException e) {
      throw failure("sweep", root, new IOException(e));
    }
  }

  private static ForkdException failure(String verb, Path path, IOException e) {
    boolean full = String.valueOf(e.getMessage()).contains("No space left on device");
    return new Failure(
            full ? FailureKind.EXHAUSTED : FailureKind.ENGINE,
            "cannot %s snapshot files in %s: %s"
                .formatted(verb, path, full ? "the disk is full; make room" : e))
        .thrown(e);
  }
}
