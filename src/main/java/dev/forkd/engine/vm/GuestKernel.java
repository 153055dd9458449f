package dev.forkd.engine.vm;

import dev.forkd.host.FileTree;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/**
 * The kernel that guests run, taken out of Debian's package without installing it.
 *
 * @param version as in the package's name
 * @param dir holds {@code vmlinuz} and the modules
 */
record GuestKernel(String version, Path dir) {
  private static final String META_PACKAGE = "linux-image-cloud-amd64";
  private static final Duration DOWNLOAD = Duration.ofMinutes(5);

  /** In the order they are loaded; the package has no virtio that is built in. */
  private static final List<String> MODULES =
      List.of(
          "drivers/virtio/virtio_ring.ko",
          "drivers/virtio/virtio.ko",
          "drivers/virtio/virtio_mmio.ko",
          "drivers/block/virtio_blk.ko",
          "drivers/char/virtio_console.ko",
          "drivers/char/hw_random/virtio-rng.ko",
          "fs/overlayfs/overlay.ko",
          "net/core/failover.ko",
          "drivers/net/net_failover.ko",
          "drivers/net/virtio_net.ko");

  /** The last ones, which only a machine with a network card loads. */
  private static final int OF_NETWORK = 3;

  /** The newest one of the package lists, downloaded unless it is in {@code cache}. */
  static GuestKernel prepare(Path cache) {
    String version = newest();
    Path dir = cache.resolve("kernel-net-" + version);
    try {
      if (!Files.exists(dir)) {
        Files.createDirectories(cache);
        Path part = Files.createTempDirectory(cache, "part-");
        try {
          fill(part, version);
          Files.move(part, dir, StandardCopyOption.ATOMIC_MOVE);
        } finally {
          FileTree.delete(part);
        }
      }
      return new GuestKernel(version, dir);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "unpacking the guest kernel " + version + ": " + e)
          .thrown(e);
    }
  }

  private static String newest() {
    String depends = Tool.run(List.of("apt-cache", "depends", META_PACKAGE), DOWNLOAD);
    return depends
        .lines()
        .map(String::strip)
        .filter(line -> line.startsWith("Depends: linux-image-"))
        .map(line -> line.substring("Depends: linux-image-".length()))
        .findFirst()
        .orElseThrow(() ->
            new Failure(
                    FailureKind.UNSUPPORTED,
                    "the vm engine needs the package "
                        + META_PACKAGE
                        + ", which the package lists do not have; run apt-get update")
                .thrown());
  }

  private static void fill(Path part, String version) throws IOException {
    String packageName = "linux-image-" + version;
    Tool.run(List.of("env", "-C", part.toString(), "apt-get", "download", packageName), DOWNLOAD);
    Path archive;
    try (Stream<Path> files = Files.list(part)) {
      archive = files.findFirst().orElseThrow(() -> new IOException("nothing was downloaded"));
    }
    Path tree = part.resolve("tree");
    Tool.run(List.of("dpkg-deb", "-x", archive.toString(), tree.toString()), DOWNLOAD);
    Files.move(tree.resolve("boot/vmlinuz-" + version), part.resolve("vmlinuz"));
    for (String module : MODULES) {
      Files.move(
          tree.resolve("lib/modules/" + version + "/kernel").resolve(module),
          part.resolve(name(module)));
    }
    Files.delete(archive);
    FileTree.delete(tree);
  }

  private static String name(String module) {
    return module.substring(module.lastIndexOf('/') + 1);
  }

  /** The boot image. */
  Path image() {
    return dir.resolve("vmlinuz");
  }

  /** Modules in the order they are loaded. */
  List<Path> modules(boolean network) {
    return MODULES.stream()
        .limit(MODULES.size() - (network ? 0 : OF_NETWORK))
        .map(module -> dir.resolve(name(module)))
        .toList();
  }
}
