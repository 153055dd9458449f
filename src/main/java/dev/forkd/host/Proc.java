package dev.forkd.host;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.stream.Stream;

/** Readers of {@code /proc} (proc(5)). */
public final class Proc {
  private static final Path ROOT = Path.of("/proc");

  /** Fields of stat after the command's name, which may hold anything: state is the first. */
  private static final int START_TIME_AFTER_NAME = 19;

  private Proc() {}

  /**
   * Memory of one process, in bytes.
   *
   * @param rss resident
   * @param pss resident, shared pages divided among their users
   * @param unique private pages: what would be free if it ended
   */
  public record Memory(long rss, long pss, long unique) {}

  /** Memory of a process. NOT_FOUND when there is no such process. */
  public static Memory memory(long pid) {
    long rss = 0;
    long pss = 0;
    long unique = 0;
    for (String line : lines(pid, "smaps_rollup")) {
      if (line.startsWith("Rss:")) {
        rss = kib(line);
      } else if (line.startsWith("Pss:")) {
        pss = kib(line);
      } else if (line.startsWith("Private_")) {
        unique += kib(line);
      }
    }
    return new Memory(rss, pss, unique);
  }

  /**
   * Whether the process can reach anything but itself: its network has more than a loopback device.
   * True when that cannot be known, as of a process that has ended.
   */
  public static boolean hasNetwork(long pid) {
    try (Stream<String> lines = Files.lines(ROOT.resolve(pid + "/net/dev"))) {
      return lines.skip(2).map(String::strip).anyMatch(line -> !line.startsWith("lo:"));
    } catch (IOException | UncheckedIOException e) {
      return true;
    }
  }

  /**
   * When a process started, in clock ticks since boot: with the pid it names one process for good.
   * Empty when there is no such process.
   */
  public static OptionalLong startTime(long pid) {
    try {
      String stat = Files.readString(ROOT.resolve(pid + "/stat"));
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
      return OptionalLong.of(Long.parseLong(fields[START_TIME_AFTER_NAME]));
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }

  /** Memory that programs can still be given without anything being pushed out, in bytes. */
  public static long availableMemory() {
    try {
      for (String line : Files.readAllLines(ROOT.resolve("meminfo"))) {
        if (line.startsWith("MemAvailable:")) {
          return kib(line);
        }
      }
      throw new ForkdException(FailureKind.INTERNAL, "/proc/meminfo has no MemAvailable");
    } catch (IOException e) {
      throw new ForkdException(FailureKind.ENGINE, "/proc/meminfo: " + e);
    }
  }

  /** The effective uid of this process. */
  public static long effectiveUid() {
    for (String line : lines(ProcessHandle.current().pid(), "status")) {
      if (line.startsWith("Uid:")) {
        return Long.parseLong(line.split("\\s+")[2]);
      }
    }
    throw new ForkdException(FailureKind.INTERNAL, "/proc/self/status has no Uid line");
  }

  private static List<String> lines(long pid, String file) {
    try {
      return Files.readAllLines(ROOT.resolve(pid + "/" + file));
    } catch (NoSuchFileException e) {
      throw new ForkdException(FailureKind.NOT_FOUND, "there is no process " + pid);
    } catch (IOException e) {
      throw new ForkdException(FailureKind.ENGINE, "/proc/" + pid + "/" + file + ": " + e);
    }
  }

  private static long kib(String line) {
    return Long.parseLong(line.split("\\s+")[1]) * 1024;
  }
}
