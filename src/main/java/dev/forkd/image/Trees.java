package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
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

/**
 * Directory trees on disk: removing, measuring, making durable. Symbolic links are not followed.
 */
final class Trees {
  private Trees() {}

  /**
   * Removes a tree. Never enters another file system: a mount that a killed tool left below must
   * not take the machine's own files with it.
   */
  static void delete(Path root) throws IOException {
    if (!Files.exists(root, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    Object device = device(root);
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes)
              throws IOException {
            if (!device(dir).equals(device)) {
              throw new FileSystemException(
                  dir.toString(), "", "is another file system mounted below " + root);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path dir, IOException trouble)
              throws IOException {
            if (trouble != null) {
              throw trouble;
            }
            Files.delete(dir);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private static Object device(Path path) throws IOException {
    return Files.getAttribute(path, "unix:dev", LinkOption.NOFOLLOW_LINKS);
  }

  /** Bytes of all regular files below {@code root}. */
  static long bytes(Path root) throws IOException {
    long[] total = new long[1];
    Files.walkFileTree(
        root,
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

  /** Makes a file's content, or a directory's entries, survive a loss of power. */
  static void sync(Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** What {@code trouble} on {@code path} means to the one who asked. */
  static ForkdException failure(String doing, Path path, IOException trouble) {
    String why = reason(trouble);
    if (isFull(why)) {
      return full(doing, path).thrown(trouble);
    }
    return new Failure(FailureKind.ENGINE, doing + ": " + why).thrown(trouble);
  }

  /** Whether a message tells of a full disk or an exhausted quota. */
  static boolean isFull(String message) {
    return message.contains("No space left on device") || message.contains("Disk quota exceeded");
  }

  /** The disk that holds {@code path} ran full; what was begun there is removed by now. */
  static Failure full(String doing, Path path) {
    return new Failure(
        FailureKind.EXHAUSTED,
        ("%s: it does not fit on the disk of %s, which has %d bytes free; make room or set"
                + " --state-dir")
            .formatted(doing, path, usable(path)));
  }

  private static long usable(Path path) {
    for (Path at = path; at != null; at = at.getParent()) {
      if (Files.exists(at)) {
        return at.toFile().getUsableSpace();
      }
    }
    return 0;
  }

  private static String reason(IOException trouble) {
    String message = trouble.getMessage() == null ? "" : trouble.getMessage();
    return trouble instanceof FileSystemException
        ? trouble.getClass().getSimpleName().replace("Exception", "") + " " + message
        : message;
  }
}
