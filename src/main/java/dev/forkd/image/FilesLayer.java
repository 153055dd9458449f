package dev.forkd.image;

import dev.forkd.host.FileTree;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The files that a recipe copies, as a layer of their own. Modes and symbolic links are kept,
 * owners become root of the sandbox, set-id bits are dropped.
 */
final class FilesLayer {
  private static final int MAX_ENTRIES = 100_000;
  private static final long MAX_BYTES = 1L << 30;

  /** Caches that would change the digest with every run of the tests on the host. */
  private static final Set<String> LEFT_OUT = Set.of("__pycache__", ".pytest_cache");

  /** In a tree that somebody works in: large, and nothing that a program of it reads. */
  private static final Set<String> NOT_WORKED_ON =
      Set.of(".git", ".hg", ".svn", ".tox", ".nox", "node_modules", ".forkd");

  /** What marks the top of a virtual environment. */
  private static final String ENVIRONMENT = "pyvenv.cfg";

  /** Target (relative to the root, sorted) to source. */
  private final Map<String, Path> sources;

  /** Whether a file is known by its size and time: reading all of a working tree takes long. */
  private final boolean quick;

  private FilesLayer(Map<String, Path> sources, boolean quick) {
    this.sources = sources;
    this.quick = quick;
  }

  /**
   * What {@code files} stand for now.
   *
   * @throws ForkdException INVALID for a missing source, a socket, a device, or too much
   */
  static FilesLayer of(List<Recipe.CopiedFile> files) {
    Map<String, Path> sources = new TreeMap<>();
    for (Recipe.CopiedFile file : files) {
      try {
        collect(file, sources);
      } catch (IOException trouble) {
        throw DiskFailure.of("files: " + file.from(), file.from(), trouble);
      }
    }
    return new FilesLayer(sources, files.stream().anyMatch(Recipe.CopiedFile::workingTree));
  }

  private static void collect(Recipe.CopiedFile file, Map<String, Path> sources)
      throws IOException {
    if (!Files.exists(file.from(), LinkOption.NOFOLLOW_LINKS)) {
      throw invalid(file.from(), "does not exist");
    }
    long[] bytes = new long[1];
    Files.walkFileTree(
        file.from(),
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
            if (isLeftOut(file, dir)) {
              return FileVisitResult.SKIP_SUBTREE;
            }
            return visitFile(dir, attributes);
          }

          @Override
          public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) {
            if (attributes.isOther() && file.workingTree()) {
              return FileVisitResult.CONTINUE;
            }
            if (attributes.isOther()) {
              throw invalid(path, "is a socket, device or pipe");
            }
            bytes[0] += attributes.isRegularFile() ? attributes.size() : 0;
            if (sources.size() >= MAX_ENTRIES || bytes[0] > MAX_BYTES) {
              throw invalid(file.from(), "is more than 1 GiB or 100000 files; use `image.dir`");
            }
            sources.put(target(file, path), path);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private static boolean isLeftOut(Recipe.CopiedFile file, Path dir) {
    String name = String.valueOf(dir.getFileName());
    if (!file.workingTree()) {
      return LEFT_OUT.contains(name);
    }
    boolean top = dir.equals(file.from());
    return !top && (NOT_WORKED_ON.contains(name) || Files.exists(dir.resolve(ENVIRONMENT)));
  }

  private static String target(Recipe.CopiedFile file, Path path) {
    String relative = file.from().relativize(path).toString();
    String top = file.to().substring(1);
    return relative.isEmpty() ? top : top + "/" + relative;
  }

  private static ForkdException invalid(Path path, String why) {
    return new ForkdException(FailureKind.INVALID, "files: " + path + " " + why);
  }

  /**
   * Checks that no directory of this layer would take the place of a link below it, as {@code /bin}
   * is one where /usr is merged.
   *
   * @throws ForkdException INVALID naming the real path
   */
  void check(Path base) {
    for (Map.Entry<String, Path> entry : sources.entrySet()) {
      Path target = Path.of(entry.getKey());
      boolean directory = Files.isDirectory(entry.getValue(), LinkOption.NOFOLLOW_LINKS);
      int names = target.getNameCount() - (directory ? 0 : 1);
      for (int n = 1; n <= names; n++) {
        Path way = base.resolve(target.subpath(0, n));
        if (Files.isSymbolicLink(way)) {
          throw invalid(
              entry.getValue(),
              "would go through /" + target.subpath(0, n) + ", a link; name its real path in `to`");
        }
      }
    }
  }

  boolean isEmpty() {
    return sources.isEmpty();
  }

  /** Digest over names, modes, link targets and content. */
  String digest() {
    return digest(sources);
  }

  private String digest(Map<String, Path> sources) {
    ContentDigest digest = new ContentDigest(quick ? "tree/1" : "files/1");
    sources.forEach((target, source) -> {
      try {
        add(digest.add(target), source);
      } catch (IOException trouble) {
        throw DiskFailure.of("files: " + source, source, trouble);
      }
    });
    return digest.hex();
  }

  private void add(ContentDigest digest, Path source) throws IOException {
    PosixFileAttributes attributes = attributes(source);
    if (attributes.isSymbolicLink()) {
      digest.add("link").add(Files.readSymbolicLink(source).toString());
      return;
    }
    digest.add(PosixFilePermissions.toString(attributes.permissions()));
    if (attributes.isRegularFile() && quick) {
      digest.add("file").add(attributes.size() + " " + attributes.lastModifiedTime());
    } else if (attributes.isRegularFile()) {
      digest.add("file").addFile(source);
    } else {
      digest.add("directory");
    }
  }

  private static PosixFileAttributes attributes(Path path) throws IOException {
    return Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
  }

  /**
   * Copies everything into {@code tree} and to the disk.
   *
   * @param expected the digest found before; a copy of something else is refused
   */
  void copy(Path tree, String expected) throws IOException {
    Map<String, Path> copies = new TreeMap<>();
    for (Map.Entry<String, Path> entry : sources.entrySet()) {
      Path copy = tree.resolve(entry.getKey());
      makeParents(tree, copy);
      copy(entry.getValue(), copy, !quick);
      copies.put(entry.getKey(), copy);
    }
    if (!digest(copies).equals(expected)) {
      throw new Failure(
              FailureKind.CONFLICT, "files: they changed while they were copied; try again")
          .thrown();
    }
  }

  private static void makeParents(Path tree, Path copy) throws IOException {
    Path relative = tree.relativize(copy);
    Path at = tree;
    for (Path name : relative.subpath(0, Math.max(1, relative.getNameCount() - 1))) {
      if (relative.getNameCount() == 1) {
        return;
      }
      at = at.resolve(name);
      if (Files.isSymbolicLink(at) || Files.isRegularFile(at)) {
        throw invalid(at, "is copied as a file and used as a directory");
      }
      if (!Files.exists(at)) {
        Files.createDirectory(at);
        Files.setPosixFilePermissions(at, PosixFilePermissions.fromString("rwxr-xr-x"));
      }
    }
  }

  private static void copy(Path source, Path copy, boolean durable) throws IOException {
    PosixFileAttributes attributes = attributes(source);
    if (attributes.isSymbolicLink()) {
      Files.deleteIfExists(copy);
      Files.createSymbolicLink(copy, Files.readSymbolicLink(source));
      return;
    }
    if (attributes.isDirectory()) {
      if (!Files.isDirectory(copy, LinkOption.NOFOLLOW_LINKS)) {
        Files.createDirectory(copy);
      }
    } else if (attributes.isRegularFile()) {
      Files.copy(source, copy, StandardCopyOption.REPLACE_EXISTING);
      Files.setLastModifiedTime(copy, attributes.lastModifiedTime());
      if (durable) { // a working tree is soon another one
        FileTree.sync(copy);
      }
    } else {
      throw new FileSystemException(source.toString(), "", "is no longer a file or directory");
    }
    Files.setPosixFilePermissions(copy, attributes.permissions());
  }
}
