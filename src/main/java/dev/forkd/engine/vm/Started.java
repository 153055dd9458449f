package dev.forkd.engine.vm;

import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A child's machine that was started.
 *
 * @param name of the child
 * @param site that it was started at
 * @param agent channel to its agent
 * @param monitor QEMU's
 * @param console what its kernel prints
 * @param network the namespace that its card is connected with
 * @param saved where QEMU writes the state of its devices when it is told to
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
record Started(
    String name,
    Site site,
    QemuProcess qemu,
    SocketChannel agent,
    Monitor monitor,
    Console console,
    Optional<String> network,
    Path saved) {
  /** The end of a sentence that tells of its end: what its kernel printed last. */
  String lastWords() {
    String tail = console.tail();
    return tail.isEmpty() ? "" : "; the last of its console: " + tail;
  }

  void close() {
    qemu.close();
    monitor.close();
    console.close();
    // Nobody else's: the name is that of one sandbox.
    saved.toFile().delete();
    site.groups().remove(name);
    network.ifPresent(site.networks()::remove);
  }
}
