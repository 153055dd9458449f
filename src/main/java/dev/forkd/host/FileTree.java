package dev.forkd.host;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Directory trees on disk: removing, measuring, making durable. Symbolic links are never followed.
 */
public final class FileTree {
  private FileTree() {}

  /**
   * Removes a tree; nothing happens when it is not there. Never enters another file system: a mount
   * that a killed tool left below must not take the machine's own files with it.
   *
   * @throws FileSystemException that names the directory at which another file system is mounted;
   *     what was visited before it is gone by then
   */
  public static void delete(Path tree) throws IOException {
    if (Files.exists(tree, LinkOption.NOFOLLOW_LINKS)) {
      Files.walkFileTree(tree, new Deleting(tree, device(tree)));
    }
  }

  private static Object device(Path path) throws IOException {
    return Files.getAttribute(path, "unix:dev", LinkOption.NOFOLLOW_LINKS);
  }

  /** The regular files below it and their sizes in bytes, by path relative to it. */
  public static Map<Path, Long> files(Path tree) throws IOException {
    Map<Path, Long> sizes = new TreeMap<>();
    Files.walkFileTree(
        tree,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (attributes.isRegularFile()) {
              sizes.put(tree.relativize(file), attributes.size());
            }
            return FileVisitResult.CONTINUE;
          }
        });
    return sizes;
  }

  /** Bytes of all regular files below it; a file that is removed meanwhile counts nothing. */
  public static long bytes(Path tree) throws IOException {
    long[] total = new long[1];
    Files.walkFileTree(
        tree,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            total[0] += attributes.isRegularFile() ? attributes.size() : 0;
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException trouble)
              throws IOException {
            if (trouble instanceof NoSuchFileException) {
              return FileVisitResult.CONTINUE;
            }
            throw trouble;
          }
        });
    return total[0];
  }

  /** Makes its files and names survive a loss of power: fsync(2) of each file and directory. */
  public static void syncAll(Path tree) throws IOException {
    Files.walkFileTree(
        tree,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            if (attributes.isRegularFile()) {
              sync(file);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException trouble)
              throws IOException {
            if (trouble != null) {
              throw trouble;
            }
            sync(dir);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /**
   * Makes a file's content, or a directory's entries, survive a loss of power: a rename is on disk
   * only when its directory is. fsync(2) asks for no right to write.
   */
  public static void sync(Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private static final class Deleting extends SimpleFileVisitor<Path> {
    private final Path tree;
    private final Object device;

    Deleting(Path tree, Object device) {
      this.tree = tree;
      this.device = device;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes)
        throws IOException {
      if (!device(dir).equals(device)) {
        throw new FileSystemException(
            dir.toString(), "", "is another file system mounted below " + tree);
      }
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      Files.delete(file);
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException trouble)
        throws IOException {
      if (trouble != null) {
        throw trouble;
      }
      Files.delete(dir);
      return FileVisitResult.CONTINUE;
    }
  }
}
