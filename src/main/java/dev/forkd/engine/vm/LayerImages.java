package dev.forkd.engine.vm;

import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Layers of a root image as read-only ext4 file systems, each made once. Thread-safe. */
final class LayerImages {
  private static final Logger LOG = LoggerFactory.getLogger(LayerImages.class);
  private static final Duration BUILD = Duration.ofMinutes(15);
  private static final Pattern DIGEST = Pattern.compile("[0-9a-zA-Z_-]{1,64}");
  private static final Pattern CONTENT_NAME = Pattern.compile("[0-9a-f]{64}");
  private static final String SUFFIX = ".ext4";

  /** What follows a digest in a file's name. */
  private static final Pattern NUMBERED = Pattern.compile("(-\\d+)?\\.ext4$");

  private static final long MIB = 1 << 20;
  private static final int BLOCK = 4096;

  /** A layer is a device of the guest, and the guest takes so many. */
  private static final int MAX_LAYERS = 8;

  private final Path dir;

  /** Images below {@code dir}, which is made when it is needed. */
  LayerImages(Path dir) {
    this.dir = dir;
  }

  /** The files, topmost layer first. */
  synchronized List<Path> prepare(RootImage image) {
    check(image);
    List<Path> files = new ArrayList<>();
    try {
      Files.createDirectories(dir);
      for (RootImage.Layer layer : image.layers()) {
        Path file = dir.resolve(name(image, layer, files.size()) + SUFFIX);
        if (!Files.exists(file)) {
          build(layer.path(), file);
        }
        files.add(file);
      }
      return List.copyOf(files);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "making a disk of image " + image.digest() + ": " + e)
          .thrown(e);
    }
  }

  private static void check(RootImage image) {
    if (image.layers().stream().anyMatch(layer -> layer.path().getNameCount() == 0)) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "the vm engine cannot use this machine's own root as an image, because it would have to"
              + " be copied whole; name the packages in `image: apt`, or use the process engine");
    }
    if (image.layers().isEmpty() || image.layers().size() > MAX_LAYERS) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED, "the vm engine takes images of 1 to " + MAX_LAYERS + " layers");
    }
    if (!DIGEST.matcher(image.digest()).matches()) {
      throw new ForkdException(FailureKind.INTERNAL, "no image digest: " + image.digest());
    }
  }

  /**
   * Layers of the image store ({@code <digest>/tree}) are named by their content and so are shared
   * by images.
   */
  static String name(RootImage image, RootImage.Layer layer, int index) {
    String own =
        Optional.ofNullable(layer.path().getParent())
            .map(parent -> String.valueOf(parent.getFileName()))
            .orElse("");
    return CONTENT_NAME.matcher(own).matches() ? own : image.digest() + "-" + index;
  }

  /**
   * Removes all files but those of images and layers that have one of these digests, and what an
   * interrupted build left.
   */
  synchronized void retain(Set<String> digests) {
    if (!Files.isDirectory(dir)) {
      return;
    }
    try (DirectoryStream<Path> files = Files.newDirectoryStream(dir, "*" + SUFFIX)) {
      for (Path file : files) {
        String name = file.getFileName().toString();
        if (!digests.contains(NUMBERED.matcher(name).replaceFirst(""))) {
          LOG.info("event=disk_removed file={} bytes={}", name, Files.size(file));
          Files.delete(file);
        }
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "removing disks below " + dir + ": " + e).thrown(e);
    }
  }

  private void build(Path tree, Path file) throws IOException {
    long[] size = measure(tree);
    Path part = Files.createTempFile(dir, "part-", SUFFIX);
    try {
      long mib = (size[0] * 11 / 10 + size[1] * 512) / MIB + 64;
      Tool.run(
          List.of(
              "mke2fs",
              "-q",
              "-F",
              "-t",
              "ext4",
              "-d",
              tree.toString(),
              "-O",
              "^has_journal,^metadata_csum",
              "-m",
              "0",
              "-N",
              Long.toString(size[1] + 1024),
              part.toString(),
              mib + "M"),
          BUILD);
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(part);
    }
  }

  /** Bytes in whole blocks, and entries. */
  private static long[] measure(Path tree) throws IOException {
    long[] size = {0, 0};
    Files.walkFileTree(
        tree,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path at, BasicFileAttributes attributes) {
            return visitFile(at, attributes);
          }

          @Override
          public FileVisitResult visitFile(Path at, BasicFileAttributes attributes) {
            size[0] += (attributes.size() + BLOCK - 1) / BLOCK * BLOCK;
            size[1]++;
            return FileVisitResult.CONTINUE;
          }
        });
    return size;
  }
}
