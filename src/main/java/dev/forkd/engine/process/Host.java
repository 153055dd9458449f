package dev.forkd.engine.process;

import dev.forkd.engine.Capabilities;
import dev.forkd.host.UnixSocket;
import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;

/**
 * What the launcher found this machine to be.
 *
 * @param facts its report, value by value
 * @param controllers cgroup controllers that it can use
 */
record Host(Map<String, String> facts, Set<String> controllers) {
  /** mount_setattr with MOUNT_ATTR_IDMAP under overlayfs: Linux 5.19. */
  private static final int[] OLDEST_KERNEL = {5, 19};

  /** A name in the directory: an id of up to 24 characters and ".agent". */
  private static final int SOCKET_NAME = 1 + 24 + 6;

  static Host of(String report) {
    Map<String, String> facts = new TreeMap<>();
    Set<String> controllers = new TreeSet<>();
    for (Map.Entry<String, JsonNode> property : Json.parse(report).properties()) {
      JsonNode value = property.getValue();
      facts.put(property.getKey(), value.isString() ? value.asString() : value.toString());
      if (property.getKey().equals("controllers")) {
        value.forEach(controller -> controllers.add(controller.asString()));
      }
    }
    return new Host(facts, controllers);
  }

  /** Controllers without which limits are held by rlimits of each process, or not at all. */
  Set<String> missing() {
    Set<String> missing = new TreeSet<>(Set.of("memory", "pids", "cpu", "io"));
    missing.removeAll(controllers);
    return missing;
  }

  Capabilities capabilities() {
    return new Capabilities(
        "process",
        controllers.contains("memory"),
        controllers.contains("pids"),
        controllers.contains("cpu"),
        facts);
  }

  /** UNSUPPORTED when the engine cannot work here, with what is lost and how to get it. */
  static void check(ProcessPaths paths) {
    if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).equals("linux")) {
      throw unsupported("needs Linux", "run forkd on a Linux host");
    }
    checkKernel(System.getProperty("os.version"));
    if (!Files.isExecutable(paths.launcher())) {
      throw unsupported(
          "needs its launcher, and " + paths.launcher() + " is not there", "run make build");
    }
    prepareSocketDir(paths.socketDir());
  }

  static void checkKernel(String version) {
    String[] parts = version.split("[^0-9]+");
    int major = parts.length > 0 && !parts[0].isEmpty() ? Integer.parseInt(parts[0]) : 0;
    int minor = parts.length > 1 ? Integer.parseInt(parts[1]) : 0;
    if (major < OLDEST_KERNEL[0] || (major == OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1])) {
      throw unsupported(
          "needs Linux 5.19 or newer for id-mapped mounts; this is " + version,
          "upgrade the kernel");
    }
  }

  private static void prepareSocketDir(Path dir) {
    int length = dir.toString().getBytes(StandardCharsets.UTF_8).length;
    if (length + SOCKET_NAME > UnixSocket.MAX_PATH) {
      throw new ForkdException(
          FailureKind.INVALID,
          "the run directory's path is too long for unix sockets: "
              + dir
              + " has "
              + length
              + " bytes, at most "
              + (UnixSocket.MAX_PATH - SOCKET_NAME)
              + " fit; choose a shorter one with --run-dir");
    }
    try {
      Files.createDirectories(dir);
      Files.setPosixFilePermissions(dir, PosixFilePermissions.fromString("rwx------"));
      removeStale(dir);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "cannot prepare the socket directory: " + e).thrown(e);
    }
  }

  /** A launcher that was killed could not remove its sockets; nobody listens there any more. */
  private static void removeStale(Path dir) throws IOException {
    try (DirectoryStream<Path> sockets = Files.newDirectoryStream(dir, "*.agent")) {
      for (Path socket : sockets) {
        Files.delete(socket);
      }
    }
  }

  private static ForkdException unsupported(String what, String remedy) {
    return new ForkdException(
        FailureKind.UNSUPPORTED,
        "the process engine " + what + "; without it no sandbox can be made here: " + remedy);
  }
}
