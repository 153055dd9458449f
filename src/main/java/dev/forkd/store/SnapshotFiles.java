package dev.forkd.store;

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
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/** The directories of snapshots: {@code <tag>/snapshot.json}, written whole or not at all. */
public final class SnapshotFiles {
  private static final String MANIFEST = "snapshot.json";
  private static final String DOOMED = ".deleting-";
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");

  private final Path root;

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
    Path staged = dir.resolve("." + MANIFEST + ".new");
    try {
      Files.createDirectories(dir, PosixFilePermissions.asFileAttribute(PRIVATE));
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
      sync(dir);
      sync(root);
    } catch (IOException e) {
      throw failure("write", dir, e);
    }
  }

  /** Removes a snapshot's directory; the name is free at once. */
  public void delete(Tag tag) {
    Path dir = dir(tag);
    try {
      if (Files.exists(dir, LinkOption.NOFOLLOW_LINKS)) {
        Path doomed = root.resolve(DOOMED + tag.text() + "-" + System.nanoTime());
        Files.move(dir, doomed, StandardCopyOption.ATOMIC_MOVE);
        sync(root);
        deleteTree(doomed);
      }
    } catch (IOException e) {
      throw failure("delete", dir, e);
    }
  }

  /** Finishes deletions that an earlier daemon began. */
  public void sweep() {
    try (Stream<Path> entries = Files.list(root)) {
      for (Path entry : entries.toList()) {
        if (entry.getFileName().toString().startsWith(DOOMED)) {
          deleteTree(entry);
        }
      }
    } catch (IOException e) {
      throw failure("sweep", root, e);
    } catch (UncheckedIOException e) {
      throw failure("sweep", root, new IOException(e));
    }
  }

  private static void deleteTree(Path tree) throws IOException {
    Files.walkFileTree(
        tree,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.delete(dir);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  // A rename is on disk only when its directory is: open(2) and fsync(2) of the directory.
  private static void sync(Path dir) throws IOException {
    try (FileChannel channel = FileChannel.open(dir, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private static ForkdException failure(String verb, Path path, IOException e) {
    return new Failure(
            FailureKind.ENGINE, "cannot " + verb + " snapshot files in " + path + ": " + e)
        .thrown(e);
  }
}
