package dev.forkd.engine.vm;

import dev.forkd.engine.network.Networks;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What every machine of one engine needs.
 *
 * @param kernel that guests run
 * @param accelerator how they are run
 * @param starter thread that starts every QEMU
 * @param groups of children
 * @param networks of guests that have one
 * @param numbers of machines, never used twice
 */
record Site(
    VmPaths paths,
    GuestKernel kernel,
    Accelerator accelerator,
    ExecutorService starter,
    Groups groups,
    Networks networks,
    AtomicLong numbers) {
  /** Ids that no package gives to anybody; each QEMU has one of its own. */
  private static final long FIRST_UID = 2_000_000_000L;

  private static final long UIDS = 100_000_000L;

  /** Starts a QEMU as an unprivileged user that nobody else is. */
  QemuProcess start(List<String> files, List<String> args, Path stdin) {
    long uid = FIRST_UID + numbers.incrementAndGet() % UIDS;
    return QemuProcess.start(
        paths.wrapper(), new QemuProcess.Launch(uid, uid, files, args, stdin), starter);
  }

  /** How a machine is called in a list of processes. */
  String label(String name) {
    return "forkd-" + paths.instance() + "-" + name;
  }

  static String descriptor(int number, char mode, Object path) {
    return number + "=" + mode + ":" + path;
  }
}
