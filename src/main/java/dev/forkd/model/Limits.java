package dev.forkd.model;

/**
 * What one sandbox may use at most. 0 means: not limited.
 *
 * @param memoryBytes memory charged to the sandbox: private pages, its writable layer, /tmp
 * @param pids processes and threads
 * @param cpuMillis thousandths of a core
 * @param diskBytes the writable layer of the root file system
 * @param tmpBytes /tmp
 * @param shmBytes /dev/shm
 * @param openFiles descriptors of each process; 0 = 65536, or what the host allows
 * @param ioWeight share of a busy disk against other sandboxes, 1 to 1000; 0 = 100
 */
public record Limits(
    long memoryBytes,
    long pids,
    long cpuMillis,
    long diskBytes,
    long tmpBytes,
    long shmBytes,
    long openFiles,
    long ioWeight) {
  private static final long MAX_IO_WEIGHT = 1000;
  private static final long MIB = 1 << 20;

  /** What a recipe gets that says nothing. */
  public static final Limits DEFAULT =
      new Limits(0, 1024, 0, 1024 * MIB, 512 * MIB, 64 * MIB, 0, 0);

  public Limits {
    check("memory", memoryBytes, 4 * MIB);
    check("pids", pids, 4);
    check("cpus", cpuMillis, 10);
    check("disk", diskBytes, MIB);
    check("tmp", tmpBytes, MIB);
    check("shm", shmBytes, MIB);
    check("open_files", openFiles, 64);
    if (ioWeight < 0 || ioWeight > MAX_IO_WEIGHT) {
      throw new ForkdException(
          FailureKind.INVALID, "limit io_weight is " + ioWeight + "; it is 1 to 1000");
    }
  }

  private static void check(String name, long value, long least) {
    if (value != 0 && value < least) {
      throw new ForkdException(
          FailureKind.INVALID, "limit " + name + " is " + value + "; the least is " + least);
    }
  }

  /** These limits with another memory limit. */
  public Limits withMemoryBytes(long bytes) {
    return new Limits(bytes, pids, cpuMillis, diskBytes, tmpBytes, shmBytes, openFiles, ioWeight);
  }

  /** These limits with another one of open files. */
  public Limits withOpenFiles(long number) {
    return new Limits(
        memoryBytes, pids, cpuMillis, diskBytes, tmpBytes, shmBytes, number, ioWeight);
  }
}
