package dev.forkd.fanout;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * What there is for workers now, on this machine and in the control group that forkd runs in.
 *
 * @param processors that may be used at the same time
 * @param bytes of memory that nobody needs
 */
record Capacity(int processors, long bytes) {
  private static final Path GROUPS = Path.of("/sys/fs/cgroup");
  private static final long UNKNOWN = Long.MAX_VALUE;

  /** How a version of control groups tells of memory. */
  private record Version(String limit, String used, String cache) {
    static final Version ONE =
        new Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    static final Version TWO = new Version("memory.max", "memory.current", "inactive_file");
  }

  static Capacity now() {
    long bytes = available(Path.of("/proc/meminfo"));
    for (String line : lines(Path.of("/proc/self/cgroup"))) {
      String[] parts = line.split(":", 3); // cgroups(7)
      if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
        bytes = Math.min(bytes, left(GROUPS.resolve("memory"), parts[2], Version.ONE));
      } else if (parts.length == 3 && parts[1].isEmpty()) {
        bytes = Math.min(bytes, left(GROUPS, parts[2], Version.TWO));
      }
    }
    return new Capacity(Runtime.getRuntime().availableProcessors(), bytes);
  }

  /** How many workers to start when each comes to need so much for itself. */
  int workers(long bytesEach) {
    long fitting = bytes / 5 * 4 / Math.max(1, bytesEach);
    return (int) Math.max(1, Math.min(processors, fitting));
  }

  private static long available(Path meminfo) {
    return lines(meminfo).stream()
        .filter(line -> line.startsWith("MemAvailable:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst()
        .orElse(UNKNOWN);
  }

  /** The least that the group, or one above it, has left. */
  private static long left(Path mounted, String group, Version version) {
    long least = UNKNOWN;
    Path top = mounted.resolve(group.substring(1)).normalize();
    for (Path at = top; at != null && at.startsWith(mounted); at = at.getParent()) {
      long limit = number(at.resolve(version.limit()));
      if (limit != UNKNOWN) {
        long cache =
            lines(at.resolve("memory.stat")).stream()
                .filter(line -> line.startsWith(version.cache() + " "))
                .mapToLong(line -> Long.parseLong(line.substring(version.cache().length() + 1)))
                .findFirst()
                .orElse(0);
        long used = number(at.resolve(version.used()));
        least = Math.min(least, Math.max(0, limit - Math.max(0, used - cache)));
      }
    }
    return least;
  }

  private static long number(Path file) {
    return lines(file).stream()
        .filter(line -> line.matches("\\d{1,18}"))
        .mapToLong(Long::parseLong)
        .findFirst()
        .orElse(UNKNOWN); // "max", or no such file
  }

  private static List<String> lines(Path file) {
    try (Stream<String> all = Files.lines(file)) {
      return all.toList();
    } catch (IOException e) {
      return List.of(); // another version of control groups, or none: nothing limits us here
    }
  }
}
