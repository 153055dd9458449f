package dev.forkd.store;

import dev.forkd.host.Proc;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What tells a process from a later one with the same pid: the boot it lives in and when it
 * started, see proc(5). Empty text stands for a process that was not there to be looked at.
 */
public final class ProcessStamp {
  private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

  private ProcessStamp() {}

  /** The stamp of the process that has that pid now; "" when there is none. */
  public static String of(long pid) {
    OptionalLong start = pid <= 0 ? OptionalLong.empty() : Proc.startTime(pid);
    return start.isEmpty() ? "" : Boot.ID + "/" + start.getAsLong();
  }

  /** The process of that pid and stamp, if it still lives. */
  public static Optional<ProcessHandle> living(long pid, String stamp) {
    return stamp.isEmpty() || !stamp.equals(of(pid)) ? Optional.empty() : ProcessHandle.of(pid);
  }

  /** Read once; it cannot change under a running process. */
  private static final class Boot {
    static final String ID = read();

    private static String read() {
      try {
        return Files.readString(BOOT_ID).strip();
      } catch (IOException e) {
        throw new Failure(FailureKind.INTERNAL, BOOT_ID + " cannot be read: " + e).thrown(e);
      }
    }
  }
}
