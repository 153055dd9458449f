package dev.forkd.engine.process;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
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

  /** The socket of a launcher that outlived its daemon. */
  Path launcherSocket() {
    return socketDir.resolve("launcher.sock");
  }

  /** What tells the native programs of one build from those of another. */
  String build() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (Path program : List.of(launcher, launcher.resolveSibling("forkd-agent"))) {
        digest.update(Files.readAllBytes(program));
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException | NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.UNSUPPORTED, "reading " + launcher + " failed: " + e).thrown(e);
    }
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
