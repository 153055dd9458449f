package dev.forkd.image;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A root file system that somebody else made, used where it lies. */
final class DirectoryImage {
  private static final int MAX_ENTRIES = 2_000_000;

  private DirectoryImage() {}

  /**
   * The real path of an image directory.
   *
   * @throws ForkdException INVALID when it is not one
   */
  static Path check(Path path) {
    try {
      Path real = path.toRealPath();
      if (real.getNameCount() == 0) {
        // Its owners would become image ids: files that only root may read would be readable.
        throw invalid(path, "is the host's root; use `image: host`");
      }
      if (!Files.isDirectory(real.resolve("usr")) && !Files.isDirectory(real.resolve("bin"))) {
        throw invalid(path, "has neither usr nor bin in it, so it is no root file system");
      }
      return real;
    } catch (IOException trouble) {
      throw invalid(path, "cannot be read: " + trouble.getMessage());
    }
  }

  private static ForkdException invalid(Path path, String why) {
    return new ForkdException(FailureKind.INVALID, "image.dir: " + path + " " + why);
  }

  /** Digest of the image that has those files over that root. */
  static String digest(String files, String workdir, Path root) throws IOException {
    ContentDigest digest = new ContentDigest("image/1").add(files).add(workdir);
    addTo(digest, root);
    return digest.hex();
  }

  /** Whether the directory of an image is as it was when the image got its digest. */
  static boolean isUnchanged(RootImage image) throws IOException {
    List<RootImage.Layer> layers = image.layers();
    String files =
        layers.size() == 1
            ? FilesLayer.of(List.of()).digest()
            : LayerStore.digestOf(layers.getFirst().path());
    String workdir = image.writable().isEmpty() ? "/" : image.writable().getFirst();
    return digest(files, workdir, layers.getLast().path()).equals(image.digest());
  }

  /**
   * Adds names, sizes and times of everything in it: content that is changed behind forkd's back
   * gives another digest without gigabytes being read.
   */
  private static void addTo(ContentDigest digest, Path root) throws IOException {
    List<String> entries = new ArrayList<>();
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
            return visitFile(dir, attributes);
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (entries.size() >= MAX_ENTRIES) {
              throw invalid(root, "has more than " + MAX_ENTRIES + " entries");
            }
            long size = attributes.isDirectory() ? 0 : attributes.size();
            long time = attributes.lastModifiedTime().to(java.util.concurrent.TimeUnit.NANOSECONDS);
            entries.add(root.relativize(file) + "\0" + size + "\0" + time);
            return FileVisitResult.CONTINUE;
          }
        });
    Collections.sort(entries);
    digest.add("dir/1").add(root.toString()).add(entries);
  }
}
