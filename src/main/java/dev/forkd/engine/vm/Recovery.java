package dev.forkd.engine.vm;

import dev.forkd.engine.network.Networks;
import dev.forkd.host.FileTree;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Removes what a killed daemon of the same label has left of virtual machines. */
final class Recovery {
  private static final Logger LOG = LoggerFactory.getLogger(Recovery.class);
  private static final long SECONDS = 5;

  private Recovery() {}

  /** Milliseconds; nothing at all where the last daemon ended in order or never had a machine. */
  static void run(VmPaths paths) throws IOException {
    if (!Files.exists(paths.runDir())) {
      return;
    }
    List<ProcessHandle> machines =
        ProcessHandle.allProcesses().filter(process -> isOurs(process, paths)).toList();
    LOG.warn("event=vm_leftovers machines={}", machines.size());
    // The kernel is about to end them, as their daemon has ended; this is to be sure.
    machines.forEach(ProcessHandle::destroyForcibly);
    machines.forEach(Recovery::await);
    new Networks(paths.networkProgram(), paths.networkRecords(), Networks.Card.TAP).close();
    Groups.prepare(paths.wrapper(), paths.instance()).close();
    FileTree.delete(paths.runDir());
    FileTree.delete(paths.networkRecords());
  }

  private static boolean isOurs(ProcessHandle process, VmPaths paths) {
    String label = "forkd-" + paths.instance() + "-";
    return process
        .info()
        .arguments()
        .filter(words -> List.of(words).stream().anyMatch(word -> word.startsWith(label)))
        .isPresent();
  }

  private static void await(ProcessHandle process) {
    try {
      process.onExit().get(SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException | ExecutionException e) {
      LOG.error("event=vm_leftover_stays pid={}", process.pid());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
