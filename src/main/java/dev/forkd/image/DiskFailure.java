package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What trouble on a disk means to the one whose image is built there. */
final class DiskFailure {
  private DiskFailure() {}

  /** What {@code trouble} on {@code path} means to the one who asked. */
  static ForkdException of(String doing, Path path, IOException trouble) {
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
