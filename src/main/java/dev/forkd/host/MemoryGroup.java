package dev.forkd.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The memory control group of one sandbox, found by a process in it (cgroups(7)), of either
 * version. What it has used is what would come back if the sandbox ended: pages that it copied or
 * made, files that it was the first to read, and what the kernel holds for it. Thread-safe.
 */
public final class MemoryGroup {
  private static final Logger LOG = LoggerFactory.getLogger(MemoryGroup.class);

  private final long pid;
  private final String name;
  private volatile Optional<Path> found = Optional.empty();
  private volatile boolean looked;

  /**
   * The group of a sandbox. It is looked for once: groups come and go with their sandbox.
   *
   * @param pid of a process in it
   * @param name of the group: another one than this, as that of the daemon, is not its own
   */
  public MemoryGroup(long pid, String name) {
    this.pid = pid;
    this.name = name;
  }

  /** Bytes in use; empty when it has no group of its own, or none any more. */
  public OptionalLong used() {
    try {
      if (!looked) {
        found = find();
        looked = true;
      }
      return found.isEmpty()
          ? OptionalLong.empty()
          : OptionalLong.of(Long.parseLong(Files.readString(found.get()).strip()));
    } catch (IOException | NumberFormatException e) {
      LOG.debug("event=memory_unknown group={} reason=\"{}\"", name, e.toString());
      return OptionalLong.empty(); // it ended while we looked
    }
  }

  private Optional<Path> find() throws IOException {
    List<String> groups = Files.readAllLines(Path.of("/proc/" + pid + "/cgroup"));
    return groups.stream()
        .map(line -> line.split(":", 3))
        .filter(parts -> parts.length == 3 && parts[2].endsWith("/" + name))
        .flatMap(parts -> Hierarchy.MOUNTED.stream().flatMap(one -> one.file(parts).stream()))
        .filter(Files::exists)
        .findFirst();
  }

  /**
   * Where a hierarchy that has the memory controller is mounted.
   *
   * @param controller "memory" (version 1), or "" (version 2)
   * @param point where
   * @param root the group that is seen there
   * @param file what tells the usage
   */
  private record Hierarchy(String controller, Path point, String root, String file) {
    static final List<Hierarchy> MOUNTED = mounted();

    Optional<Path> file(String[] group) {
      boolean here =
          controller.isEmpty()
              ? group[1].isEmpty()
              : Arrays.asList(group[1].split(",")).contains(controller);
      String path = group[2];
      String inside =
          !root.equals("/") && path.startsWith(root) ? path.substring(root.length()) : path;
      return here
          ? Optional.of(point.resolve(inside.substring(1)).resolve(file))
          : Optional.empty();
    }

    private static List<Hierarchy> mounted() {
      try (Stream<String> lines = Files.lines(Path.of("/proc/self/mountinfo"))) {
        return lines.flatMap(line -> of(line).stream()).toList();
      } catch (IOException e) {
        LOG.warn("event=mounts_unknown reason=\"{}\"", e.toString());
        return List.of();
      }
    }

    // proc_pid_mountinfo(5): id parent dev root point options [optional…] - type source super
    private static Optional<Hierarchy> of(String line) {
      String[] left = line.split(" ");
      int dash = line.indexOf(" - ");
      String[] right = dash < 0 ? new String[0] : line.substring(dash + 3).split(" ");
      if (left.length < 5 || right.length < 3) {
        return Optional.empty();
      }
      Path point = Path.of(left[4]);
      boolean memory = Arrays.asList(right[2].split(",")).contains("memory");
      if (right[0].equals("cgroup2")) {
        return Optional.of(new Hierarchy("", point, left[3], "memory.current"));
      }
      return right[0].equals("cgroup") && memory
          ? Optional.of(new Hierarchy("memory", point, left[3], "memory.usage_in_bytes"))
          : Optional.empty();
    }
  }
}
