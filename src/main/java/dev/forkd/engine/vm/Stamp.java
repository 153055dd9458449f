package dev.forkd.engine.vm;

import dev.forkd.frame.Frame;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a saved machine depends on. QEMU accepts a state that was saved with another processor or
 * disk and the guest then goes wrong, so it is compared here.
 *
 * @param facts by name; files by size and time of change
 */
record Stamp(Map<String, String> facts) {
  private static final String KERNEL = "kernel";

  static Stamp of(VmPaths paths, Machine machine, GuestKernel kernel, List<Path> layers) {
    Map<String, String> facts = new TreeMap<>();
    facts.put("qemu", file(paths.qemu()));
    facts.put("machine", machine.toString());
    facts.put(KERNEL, kernel.version());
    facts.put("agent protocol", Integer.toString(Frame.PROTOCOL_VERSION));
    for (Path layer : layers) {
      facts.put("disk " + layer.getFileName(), file(layer));
    }
    return new Stamp(Map.copyOf(facts));
  }

  private static String file(Path path) {
    try {
      return Files.size(path) + " bytes of " + Files.getLastModifiedTime(path);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "a template needs " + path + ": " + e).thrown(e);
    }
  }

  /** ENGINE when something has changed. */
  void check(Stamp now, String tag) {
    compare(now, tag, FailureKind.ENGINE);
  }

  /**
   * CONFLICT when something has changed that a saved machine depends on. Its kernel is in its
   * memory, so another one on this host does not matter.
   */
  void checkRestored(Stamp now, String tag) {
    Map<String, String> mine = new TreeMap<>(facts);
    mine.remove(KERNEL);
    new Stamp(mine).compare(now, tag, FailureKind.CONFLICT);
  }

  private void compare(Stamp now, String tag, FailureKind kind) {
    facts.forEach((name, value) -> {
      String other = now.facts().getOrDefault(name, "nothing");
      if (!other.equals(value)) {
        throw new ForkdException(
            kind,
            "snapshot "
                + tag
                + " cannot be forked: its "
                + name
                + " was "
                + value
                + " and is "
                + other
                + "; make the snapshot again");
      }
    });
  }
}
