package dev.forkd.store;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Set;

/**
 * The state directory and the run directory of one daemon, owned by holding {@code lock}.
 *
 * <p>Everything below is private to the owner (0700). The instance label is what cgroups and
 * sockets of this daemon are named after, so that two daemons never touch each other's.
 */
public final class StateDirectory implements AutoCloseable {
  /** Bytes of a unix socket's path at the most, sun_path of unix(7) without the final NUL. */
  private static final int MAX_SOCKET_PATH = 107;

  /** Room for {@code /agents/<sandbox id>.sock}. */
  private static final int SOCKET_ROOM = 48;

  private static final FileAttribute<Set<PosixFilePermission>> PRIVATE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

  private final Path state;
  private final Path run;
  private final FileChannel lockFile;
  private final FileLock lock;

  private StateDirectory(Path state, Path run, FileChannel lockFile, FileLock lock) {
    this.state = state;
    this.run = run;
    this.lockFile = lockFile;
    this.lock = lock;
  }

  /**
   * Makes both directories where they are missing and takes the lock.
   *
   * @throws ForkdException CONFLICT when another daemon owns the state directory; INVALID when a
   *     directory belongs to somebody else, can be written by others, or its path is too long
   */
  public static StateDirectory open(Path stateDir, Path runDir) {
    Path state = make(stateDir.toAbsolutePath().normalize(), "state directory");
    Path run = make(runDir.toAbsolutePath().normalize(), "run directory");
    checkLength(run);
    FileChannel lockFile = openLock(state);
    try {
      FileLock lock = lock(state, lockFile);
      StateDirectory directory = new StateDirectory(state, run, lockFile, lock);
      for (Path part :
          new Path[] {
            directory.snapshots(), directory.images(), directory.logs(), directory.agents()
          }) {
        make(part, "directory");
      }
      return directory;
    } catch (RuntimeException e) {
      closeQuietly(lockFile, e);
      throw e;
    }
  }

  /** The state directory's real path. */
  public Path state() {
    return state;
  }

  /** The run directory's real path. */
  public Path run() {
    return run;
  }

  /** The registry's file. */
  public Path database() {
    return state.resolve("forkd.db");
  }

  /** One directory per snapshot. */
  public Path snapshots() {
    return state.resolve("snapshots");
  }

  /** One directory per image. */
  public Path images() {
    return state.resolve("images");
  }

  /** The daemon's log files. */
  public Path logs() {
    return state.resolve("logs");
  }

  /** The REST API's unix socket. */
  public Path restSocket() {
    return run.resolve("forkd.sock");
  }

  /** The command line relay's unix socket. */
  public Path cliSocket() {
    return run.resolve("cli.sock");
  }

  /** Sockets of the sandboxes' agents. */
  public Path agents() {
    return run.resolve("agents");
  }

  /** Tells other programs which process the daemon is. */
  public Path pidFile() {
    return run.resolve("daemon.pid");
  }

  /** 8 hex digits that stand for this state directory. */
  public String instance() {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256")
              .digest(state.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, 4);
    } catch (NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.INTERNAL, "no SHA-256 in this JDK").thrown(e);
    }
  }

  private static Path make(Path path, String what) {
    try {
      Files.createDirectories(path, PRIVATE);
      Path real = path.toRealPath();
      checkOwner(real, what);
      return real;
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, what + " " + path + " cannot be used: " + e).thrown(e);
    }
  }

  private static void checkOwner(Path path, String what) throws IOException {
    Object owner = Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS);
    Object self = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    if (!owner.equals(self)) {
      throw new ForkdException(
          FailureKind.INVALID,
          "%s %s belongs to uid %s, this daemon is uid %s: choose another"
              .formatted(what, path, owner, self));
    }
    Set<PosixFilePermission> mode = Files.getPosixFilePermissions(path);
    if (mode.contains(PosixFilePermission.GROUP_WRITE)
        || mode.contains(PosixFilePermission.OTHERS_WRITE)) {
      throw new ForkdException(
          FailureKind.INVALID,
          "%s %s can be written by others: chmod 0700 it, or choose one of its own"
              .formatted(what, path));
    }
  }

  private static void checkLength(Path run) {
    int length = run.toString().getBytes(StandardCharsets.UTF_8).length;
    if (length + SOCKET_ROOM > MAX_SOCKET_PATH) {
      throw new ForkdException(
          FailureKind.INVALID,
          "run directory %s is %d bytes long; sockets in it need a path of at most %d: choose a"
                  .formatted(run, length, MAX_SOCKET_PATH - SOCKET_ROOM)
              + " shorter one with --run-dir");
    }
  }

  private static FileChannel openLock(Path state) {
    Path file = state.resolve("lock");
    try {
      return FileChannel.open(
          file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "lock file " + file + " cannot be used: " + e)
          .thrown(e);
    }
  }

  private static FileLock lock(Path state, FileChannel file) {
    try {
      FileLock lock = file.tryLock();
      if (lock == null) {
        throw inUse(state, file);
      }
      byte[] pid = (ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.US_ASCII);
      file.truncate(0);
      file.write(ByteBuffer.wrap(pid), 0);
      return lock;
    } catch (OverlappingFileLockException e) {
      throw inUse(state, file);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "state directory " + state + " cannot be locked: " + e)
          .thrown(e);
    }
  }

  private static ForkdException inUse(Path state, FileChannel file) {
    String holder = "";
    try {
      ByteBuffer text = ByteBuffer.allocate(20);
      file.read(text, 0);
      String pid = new String(text.array(), 0, text.position(), StandardCharsets.US_ASCII).strip();
      holder = pid.matches("[0-9]+") ? " (pid " + pid + ")" : "";
    } catch (IOException e) {
      holder = " (its pid cannot be read: " + e + ")";
    }
    return new ForkdException(
        FailureKind.CONFLICT,
        "state directory %s is in use by another forkd daemon%s: use that one, or --state-dir"
            .formatted(state, holder));
  }

  private static void closeQuietly(FileChannel file, RuntimeException reason) {
    try {
      file.close();
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
  }

  /** Gives the lock back. */
  @Override
  public void close() {
    try {
      lock.release();
      lockFile.close();
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "state directory " + state + " not released: " + e)
          .thrown(e);
    }
  }
}
