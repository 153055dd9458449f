package dev.forkd.engine.vm;

import dev.forkd.host.Deadline;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Starts the machine of one child.
 *
 * @param name of the child; nobody else's below {@code frozen.dir()}
 * @param limits of the child
 */
record Starting(Site site, Frozen frozen, String name, Limits limits) {
  /** The machine, which runs; what was made for it is gone when this throws. */
  Started start(Deadline deadline) {
    List<String> networks =
        frozen.machine().hasNetwork()
            ? List.of(site.networks().take(frozen.machine().network()))
            : List.of();
    try {
      return connect(networks, deadline);
    } catch (ForkdException e) {
      saved().toFile().delete();
      networks.forEach(site.networks()::remove);
      throw e;
    }
  }

  private Started connect(List<String> networks, Deadline deadline) {
    List<String> files = files();
    networks.forEach(net -> files.add(Site.descriptor(Machine.TAP_FD, 'n', net)));
    List<String> args = frozen.machine().child(site.paths().qemu().toString(), site.label(name));
    try (Listener channels = new Listener(socket())) {
      QemuProcess qemu = site.start(files, args, frozen.dir().resolve("state"));
      try {
        // In the order in which forkd-vm connects.
        var agent = channels.accept(qemu, deadline.left());
        var monitor = new Monitor(channels.accept(qemu, deadline.left()));
        var console = new Console(channels.accept(qemu, deadline.left()));
        return new Started(
            name, site, qemu, agent, monitor, console, networks.stream().findFirst(), saved());
      } catch (ForkdException e) {
        qemu.close();
        site.groups().remove(name);
        throw e;
      }
    }
  }

  private List<String> files() {
    List<String> files = new ArrayList<>(frozen.machine().lent());
    site.groups().word(name, frozen.machine(), limits).ifPresent(files::add);
    files.add(Site.descriptor(Machine.AGENT_FD, 'c', socket()));
    files.add(Site.descriptor(Machine.MONITOR_FD, 'c', socket()));
    files.add(Site.descriptor(Machine.CONSOLE_FD, 'c', socket()));
    files.add(Site.descriptor(Machine.MEMORY_FD, 'w', frozen.memory().file()));
    files.add(Site.descriptor(Machine.STATE_FD, 'a', saved()));
    files.addAll(VmTemplate.disks(frozen.layers()));
    files.addAll(overlay());
    return files;
  }

  /** The library goes into every child: it also lets QEMU be copied, as branches need. */
  private List<String> overlay() {
    List<String> files = new ArrayList<>();
    files.add(Site.descriptor(Machine.LIBRARY_FD, 'l', site.paths().library()));
    if (!frozen.pages().isEmpty()) {
      files.add(Site.descriptor(Machine.MAP_FD, 'r', frozen.dir().resolve("map")));
    }
    for (PageFile page : frozen.pages()) {
      files.add(Site.descriptor(Machine.FIRST_PAGES_FD + files.size() - 2, 'r', page.path()));
    }
    return files;
  }

  private Path socket() {
    return frozen.dir().resolve(name);
  }

  private Path saved() {
    return frozen.dir().resolve(name + ".state");
  }
}
