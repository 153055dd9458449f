package dev.forkd.service;

import dev.forkd.store.ProcessStamp;
import dev.forkd.store.SandboxRow;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sandboxes of a daemon that died. Their launcher sees that and ends them, which takes a moment;
 * what is still there after it is killed, if the stamp proves that it is the same process.
 */
final class Leftovers {
  private static final Logger LOG = LoggerFactory.getLogger(Leftovers.class);
  private static final long SECONDS = 5;

  private Leftovers() {}

  /** Returns when none of those processes is left, or all that can be done was done. */
  static void end(List<SandboxRow> rows) {
    List<SandboxRow> alive =
        rows.stream()
            .filter(row -> ProcessStamp.living(row.pid(), row.stamp()).isPresent())
            .toList();
    if (!alive.isEmpty()) {
      LOG.warn("event=leftovers_found n={}", alive.size());
      Together.each(alive, Leftovers::end);
    }
  }

  private static void end(SandboxRow row) {
    ProcessStamp.living(row.pid(), row.stamp())
        .filter(process -> !ended(process))
        .ifPresent(process -> {
          LOG.warn("event=leftover_killed id={} pid={}", row.id(), row.pid());
          process.destroyForcibly();
          if (!ended(process)) {
            LOG.error("event=leftover_stays id={} pid={}", row.id(), row.pid());
          }
        });
  }

  private static boolean ended(ProcessHandle process) {
    try {
      process.onExit().get(SECONDS, TimeUnit.SECONDS);
      return true;
    } catch (TimeoutException e) {
      return false;
    } catch (ExecutionException e) {
      throw new IllegalStateException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
