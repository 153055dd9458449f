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
  static Stamp of(VmPaths paths, Machine machine, GuestKernel kernel, List<Path> layers) {
    Map<String, String> facts = new TreeMap<>();
    facts.put("qemu", file(paths.qemu()));
    facts.put("machine", machine.toString());
    facts.put("kernel", kernel.version());
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
    facts.forEach((name, value) -> {
      String other = now.facts().getOrDefault(name, "nothing");
      if (!other.equals(value)) {
        throw new ForkdException(
            FailureKind.ENGINE,
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
