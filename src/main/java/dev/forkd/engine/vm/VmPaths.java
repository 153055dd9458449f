package dev.forkd.engine.vm;

import dev.forkd.host.UnixSocket;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.file.Path;

/**
 * Where the engine finds and puts things; all absolute.
 *
 * @param qemu the emulator
 * @param wrapper the native program {@code forkd-vm}
 * @param init the native program {@code forkd-init}
 * @param runtimeDir directory that holds the Python package {@code forkd_runtime}
 * @param cacheDir kernels and disk images; kept between runs
 * @param runDir sockets and saved device states; emptied when the engine starts
 * @param instance label of this daemon's virtual machines
 */
public record VmPaths(
    Path qemu,
    Path wrapper,
    Path init,
    Path runtimeDir,
    Path cacheDir,
    Path runDir,
    String instance) {
  /** A directory per machine ("/" and an id of up to 24 characters), and "/agent" in it. */
  private static final int ROOM = 1 + 24 + 6;

  public VmPaths {
    runDir = runDir.toAbsolutePath().normalize();
    cacheDir = cacheDir.toAbsolutePath().normalize();
    runtimeDir = runtimeDir.toAbsolutePath().normalize();
    int most = UnixSocket.MAX_PATH - ROOM;
    if (runDir.toString().length() > most) {
      throw new ForkdException(
          FailureKind.INVALID,
          "the run directory's path is too long for unix sockets: "
              + runDir
              + ", at most "
              + most
              + " characters fit; choose a shorter one with --run-dir");
    }
  }

  /** Beside the run directory, which is emptied before it is read. */
  Path networkProgram() {
    return wrapper.resolveSibling("forkd-net");
  }

  /** Stands where the guest's interpreter was, and asks the warm one first. */
  Path front() {
    return wrapper.resolveSibling("forkd-python");
  }

  Path networkRecords() {
    return runDir.resolveSibling(runDir.getFileName() + "-networks");
  }

  /** What QEMU loads before its own libraries to lay a branch's pages over its memory. */
  Path library() {
    return wrapper.resolveSibling("forkd-memory.so");
  }

  /** Debian's emulator, and the rest below forkd's own directories. */
  public static VmPaths of(Path home, Path state, Path run, String instance) {
    return new VmPaths(
        Path.of("/usr/bin/qemu-system-x86_64"),
        home.resolve("native/build/forkd-vm"),
        home.resolve("native/build/forkd-init"),
        home.resolve("python"),
        state.resolve("images/vm"),
        run.resolve("vm"),
        instance);
  }
}
