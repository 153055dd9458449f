package dev.forkd.fanout;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The part of the user's files that a run may read and write: the project, and files that the
 * command line names. The sandbox that asks runs any code, so every path is checked: no link is
 * followed out of the project.
 */
final class UserTree {
  private static final long MAX_READ = 48L << 20;

  private final Path root;
  private final Set<Path> named;
  private final Set<Path> allowed = new HashSet<>();

  UserTree(Suite suite) {
    this.root = suite.root();
    this.named =
        suite.args().stream()
            .flatMap(arg -> Stream.of(arg, arg.substring(arg.indexOf('=') + 1)))
            .filter(text -> !text.isEmpty() && text.indexOf('\0') < 0)
            .map(text -> suite.cwd().resolve(text).normalize())
            .collect(Collectors.toCollection(HashSet::new));
  }

  /** Lets the run read and write that file: an option names it. */
  void allow(String path) {
    named.add(Path.of(path).normalize());
    allowed.add(Path.of(path).normalize());
  }

  /** A file's content; empty when there is none or it may not be read. */
  Optional<byte[]> read(String text) throws IOException {
    Optional<Path> path =
        path(text)
            .filter(found -> found.startsWith(root) || allowed.contains(found))
            .filter(Files::isRegularFile);
    if (path.isEmpty() || Files.size(path.get()) > MAX_READ) {
      return Optional.empty();
    }
    return Optional.of(Files.readAllBytes(path.get()));
  }

  /** Writes a file, whole or not at all; false when that is not allowed. */
  boolean write(String text, byte[] body, int offset) throws IOException {
    Optional<Path> path = path(text);
    if (path.isEmpty() || Files.isDirectory(path.get(), LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    Path parent = path.get().toAbsolutePath().getParent();
    if (parent == null) {
      return false;
    }
    makeDirectories(parent);
    Path fresh = Files.createTempFile(parent, ".forkd-", ".part");
    try {
      Files.write(fresh, Arrays.copyOfRange(body, offset, body.length));
      Files.setPosixFilePermissions(fresh, mode(path.get()));
      own(fresh, parent);
      Files.move(fresh, path.get(), StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(fresh);
    }
    return true;
  }

  /** As the file has it that is replaced. */
  private static Set<PosixFilePermission> mode(Path path) throws IOException {
    return Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)
        ? Files.getPosixFilePermissions(path)
        : PosixFilePermissions.fromString("rw-r--r--");
  }

  private static void makeDirectories(Path directory) throws IOException {
    Path parent = directory.getParent();
    if (Files.isDirectory(directory) || parent == null) {
      return;
    }
    makeDirectories(parent);
    Files.createDirectory(directory);
    own(directory, parent);
  }

  /** What the daemon makes for the user belongs to the user. */
  private static void own(Path path, Path like) throws IOException {
    PosixFileAttributeView view = Files.getFileAttributeView(path, PosixFileAttributeView.class);
    var attributes = Files.readAttributes(like, PosixFileAttributes.class);
    if (!view.getOwner().equals(attributes.owner())) {
      view.setOwner(attributes.owner());
      view.setGroup(attributes.group());
    }
  }

  private Optional<Path> path(String text) {
    try {
      Path path = Path.of(text).normalize();
      if (named.contains(path)) {
        return Optional.of(path);
      }
      boolean inside = path.startsWith(root) && !path.equals(root);
      boolean versions =
          List.of(".git", ".hg").stream().anyMatch(d -> path.startsWith(root.resolve(d)));
      return inside && !versions && !leavesByLink(path) ? Optional.of(path) : Optional.empty();
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  private boolean leavesByLink(Path path) {
    for (Path at = path; at != null && !at.equals(root); at = at.getParent()) {
      if (Files.isSymbolicLink(at)) {
        return true;
      }
    }
    return false;
  }
}
