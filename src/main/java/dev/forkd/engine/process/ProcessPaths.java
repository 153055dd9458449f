package dev.forkd.engine.process;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.file.Path;
import java.util.regex.Pattern;

/**
 * Where the engine finds and puts things; all absolute.
 *
 * @param launcher the native program
 * @param runtimeDir directory that holds the Python package {@code forkd_runtime}
 * @param socketDir directory for the agents' sockets; made with mode 0700 when absent
 * @param instance label of this daemon's cgroups: 1 to 32 of {@code a-z 0-9}
 */
public record ProcessPaths(Path launcher, Path runtimeDir, Path socketDir, String instance) {
  private static final Pattern INSTANCE = Pattern.compile("[a-z0-9]{1,32}");

  public ProcessPaths {
    launcher = launcher.toAbsolutePath().normalize();
    runtimeDir = runtimeDir.toAbsolutePath().normalize();
    socketDir = socketDir.toAbsolutePath().normalize();
    if (!INSTANCE.matcher(instance).matches()) {
      throw new ForkdException(
          FailureKind.INTERNAL, "instance label \"" + instance + "\" is not 1-32 of a-z 0-9");
    }
  }

  /** The program that stands in the interpreter's place where warm exec is on. */
  Path front() {
    return launcher.resolveSibling("forkd-python");
  }

  Path networkProgram() {
    return launcher.resolveSibling("forkd-net");
  }

  Path networkRecords() {
    return socketDir.resolveSibling(socketDir.getFileName() + "-networks");
  }

  Path socketOf(String sandbox) {
    return socketDir.resolve(sandbox + ".agent");
  }
}
