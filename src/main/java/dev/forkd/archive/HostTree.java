package dev.forkd.archive;

import dev.forkd.host.FileTree;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/**
 * A tree on this machine. It is unpacked into a new directory only, and links come last: so no
 * entry finds a link on its way that another entry, or somebody else, has laid.
 */
public final class HostTree {
  private static final Set<String> REASONS =
      Set.of("Not a directory", "Is a directory", "File name too long");
  private static final PosixFilePermission[] BITS = {
    PosixFilePermission.OTHERS_EXECUTE,
    PosixFilePermission.OTHERS_WRITE,
    PosixFilePermission.OTHERS_READ,
    PosixFilePermission.GROUP_EXECUTE,
    PosixFilePermission.GROUP_WRITE,
    PosixFilePermission.GROUP_READ,
    PosixFilePermission.OWNER_EXECUTE,
    PosixFilePermission.OWNER_WRITE,
    PosixFilePermission.OWNER_READ
  };

  private HostTree() {}

  /**
   * Unpacks a tar that nobody vouches for into a directory, which is made.
   *
   * @return entries unpacked
   * @throws ForkdException CONFLICT when something is at the path already; INVALID for an entry
   *     that is refused
   */
  public static long unpack(InputStream tar, Path into) throws IOException {
    if (Files.exists(into, LinkOption.NOFOLLOW_LINKS)) {
      throw new ForkdException(
          FailureKind.CONFLICT, into + " is there already: remove it, or name a new directory");
    }
    Path parent = into.toAbsolutePath().getParent();
    Path staged = Files.createTempDirectory(parent == null ? into : parent, ".forkd-cp-");
    try {
      long entries = Unpacking.run(tar, new Onto(staged));
      permit(staged, 0755);
      Files.move(staged, into, StandardCopyOption.ATOMIC_MOVE);
      return entries;
    } catch (FileSystemException e) {
      throw inTheWay(staged, e);
    } finally {
      if (Files.exists(staged)) {
        FileTree.delete(staged);
      }
    }
  }

  /** The archive's fault, when its entries do not go together; otherwise this machine's. */
  private static IOException inTheWay(Path staged, FileSystemException e) {
    boolean entries =
        e instanceof FileAlreadyExistsException
            || e instanceof NoSuchFileException
            || e instanceof DirectoryNotEmptyException
            || REASONS.contains(String.valueOf(e.getReason()));
    if (!entries) {
      return e;
    }
    String name = String.valueOf(e.getFile()).replace(staged + "/", "");
    throw new Failure(
            FailureKind.INVALID,
            "entry \""
                + name
                + "\" of the archive cannot be where another one leaves no room for it")
        .thrown(e);
  }

  private record Onto(Path root) implements Destination {
    @Override
    public void directory(String name, int mode) throws IOException {
      Path directory = root.resolve(name);
      Files.createDirectories(directory);
      permit(directory, mode | 0700); // its entries are still to come
    }

    @Override
    public void file(String name, int mode, InputStream content) throws IOException {
      Path file = root.resolve(name);
      Path parent = file.getParent();
      if (parent != null) {
        Files.createDirectories(parent);
      }
      Files.copy(content, file, StandardCopyOption.REPLACE_EXISTING);
      permit(file, mode);
    }

    @Override
    public void link(String name, String target) throws IOException {
      Path link = root.resolve(name);
      Path parent = link.getParent();
      if (parent != null) {
        Files.createDirectories(parent);
      }
      Files.createSymbolicLink(link, Path.of(target));
    }
  }

  private static void permit(Path path, int mode) throws IOException {
    Set<PosixFilePermission> permissions = EnumSet.noneOf(PosixFilePermission.class);
    for (int bit = 0; bit < BITS.length; bit++) {
      if ((mode >> bit & 1) == 1) {
        permissions.add(BITS[bit]);
      }
    }
    Files.setPosixFilePermissions(path, permissions);
  }

  private static int mode(Path path) throws IOException {
    Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(path);
    int mode = 0;
    for (int bit = 0; bit < BITS.length; bit++) {
      mode |= permissions.contains(BITS[bit]) ? 1 << bit : 0;
    }
    return mode;
  }

  /** Packs a directory of this machine. Pipes, sockets and devices are left out. */
  public static void pack(Path root, OutputStream to) throws IOException {
    TarArchiveOutputStream tar = TarEntries.writer(to);
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes)
              throws IOException {
            if (!directory.equals(root)) {
              String name = root.relativize(directory).toString();
              TarEntries.directory(tar, name, mode(directory), nanos(attributes));
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            String name = root.relativize(file).toString();
            if (attributes.isSymbolicLink()) {
              String target = Files.readSymbolicLink(file).toString();
              TarEntries.link(tar, name, target, nanos(attributes));
            } else if (attributes.isRegularFile()) {
              TarEntries.begin(tar, name, attributes.size(), mode(file), nanos(attributes));
              Files.copy(file, tar);
              tar.closeArchiveEntry();
            }
            return FileVisitResult.CONTINUE;
          }
        });
    tar.finish();
  }

  private static long nanos(BasicFileAttributes attributes) {
    return attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS);
  }
}
