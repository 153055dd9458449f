package dev.forkd.engine.vm;

import dev.forkd.host.Tool;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** What tests of the vm engine need of this host, and what the engine holds of it. */
final class VmHost {
  /** Kept between runs: kernel, tree and disk take minutes to make. */
  private static final Path CACHE =
      Path.of(System.getenv().getOrDefault("FORKD_VM_CACHE", "target/vm-cache")).toAbsolutePath();

  private static final List<String> WRITABLE =
      List.of(
          "/root",
          "/home",
          "/tmp",
          "/var/tmp",
          "/run",
          "/etc",
          "/opt",
          "/usr/local",
          "/srv",
          "/mnt",
          "/workdir",
          "/new");

  private VmHost() {}

  /** These tests take minutes, so they run only when they are asked for. */
  static void requireIt() {
    boolean must =
        List.of(System.getenv().getOrDefault("FORKD_MUST_RUN", "").split(",")).contains("vm");
    Assumptions.assumeTrue(
        must || Boolean.getBoolean("forkd.vm"),
        "the vm engine is tested with -Dforkd.vm=true or FORKD_MUST_RUN=vm");
  }

  static VmPaths paths(Path dir) {
    Path build = Path.of("native/build").toAbsolutePath();
    return new VmPaths(
        Path.of("/usr/bin/qemu-system-x86_64"),
        build.resolve("forkd-vm"),
        build.resolve("forkd-init"),
        Path.of("python"),
        CACHE,
        dir.resolve("vm"),
        "test" + ProcessHandle.current().pid());
  }

  /** A small Debian with Python and numpy; made by mmdebstrap when it is not there. */
  static RootImage image() {
    Path tree =
        Path.of(System.getProperty("forkd.vm.tree", CACHE.resolve("numpy-tree").toString()));
    if (!Files.isDirectory(tree)) {
      make(tree);
    }
    return new RootImage(
        "contract-numpy",
        List.of(new RootImage.Layer(tree, true, false)),
        List.of("/root", "/home", "/etc/shadow", "/var/log", "/mnt"),
        WRITABLE);
  }

  /** Under a staging name: an interrupted build must not pass for an image. */
  private static void make(Path tree) {
    Path part = tree.resolveSibling("part-" + ProcessHandle.current().pid());
    try {
      Files.createDirectories(tree.getParent());
      Tool.run(
          List.of(
              "mmdebstrap",
              "--variant=minbase",
              "--include=python3,python3-numpy",
              "bookworm",
              part.toString()),
          java.time.Duration.ofMinutes(10));
      Files.move(part, tree);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  /** Everything on this host that the engine below {@code dir} holds at the moment. */
  static String holdings(Path dir) throws IOException {
    TreeSet<String> held = new TreeSet<>();
    ProcessHandle.current()
        .children()
        .filter(p -> p.info().command().filter(c -> c.matches(".*(qemu|forkd).*")).isPresent())
        .forEach(p -> held.add("process " + p.pid()));
    try (Stream<Path> files = Files.walk(dir)) {
      files.forEach(file -> held.add(file.toString()));
    }
    try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
      held.add("sockets " + descriptors.filter(VmHost::isSocket).count());
    }
    return String.join("\n", held);
  }

  private static boolean isSocket(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString().startsWith("socket:");
    } catch (IOException e) {
      // Closed since the directory was read.
      return false;
    }
  }
}
