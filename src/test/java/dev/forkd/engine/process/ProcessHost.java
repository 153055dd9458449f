package dev.forkd.engine.process;

import dev.forkd.contract.Bench;
import dev.forkd.engine.Engine;
import dev.forkd.host.Proc;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.opentest4j.TestAbortedException;

/** What tests of the process engine need of this host, and what the engine holds of it. */
final class ProcessHost {
  private static final String INSTANCE = "test" + ProcessHandle.current().pid();

  private ProcessHost() {}

  static Path launcher() {
    return Path.of(System.getProperty("forkd.launcher", "native/build/forkd-launcher"))
        .toAbsolutePath();
  }

  static ProcessPaths paths(Path dir) {
    return new ProcessPaths(launcher(), Path.of("python"), dir.resolve("agents"), INSTANCE);
  }

  /** Skips with the reason; FORKD_MUST_RUN=process makes that a failure. */
  static void requireIt() {
    Optional<String> missing =
        Stream.of(
                missing(Proc.effectiveUid() != 0, "needs root"),
                missing(!Files.isExecutable(launcher()), "needs " + launcher()),
                missing(!Files.isExecutable(Path.of("/usr/bin/python3")), "needs python3"))
            .flatMap(Optional::stream)
            .findFirst();
    boolean must =
        List.of(System.getenv().getOrDefault("FORKD_MUST_RUN", "").split(",")).contains("process");
    if (missing.isPresent() && must) {
      throw new AssertionError("FORKD_MUST_RUN=process, but the process engine " + missing.get());
    }
    Assumptions.assumeTrue(missing.isEmpty(), missing.orElse(""));
  }

  private static Optional<String> missing(boolean is, String what) {
    return is ? Optional.of(what) : Optional.empty();
  }

  static RootImage hostImage() {
    List<String> hidden =
        existing("/root", "/home", "/etc/shadow", "/etc/ssh", "/run", "/var/log", "/mnt");
    List<String> writable =
        List.of(
            "/root",
            "/home",
            "/tmp",
            "/var/tmp",
            "/run",
            "/etc",
            "/opt",
            "/usr/local",
            "/srv",
            "/mnt",
            "/workdir",
            "/new");
    return new RootImage(
        "host", List.of(new RootImage.Layer(Path.of("/"), false, false)), hidden, writable);
  }

  private static List<String> existing(String... paths) {
    return Stream.of(paths).filter(path -> Files.exists(Path.of(path))).toList();
  }

  static Bench bench(Engine engine) {
    return new Bench(engine, hostImage());
  }

  /** Everything on this host that the engine below {@code dir} holds at the moment. */
  static String holdings(Path dir) throws IOException {
    List<ProcessHandle> launchers = launchers();
    StringBuilder held = new StringBuilder();
    held.append("processes ").append(pids(launchers)).append('\n');
    held.append("cgroups ").append(cgroups()).append('\n');
    held.append("sockets ").append(names(dir.resolve("agents"))).append('\n');
    held.append("mounts ").append(lines("/proc/self/mountinfo")).append('\n');
    held.append("descriptors of this process ").append(sockets("/proc/self/fd")).append('\n');
    for (ProcessHandle launcher : launchers) {
      String proc = "/proc/" + launcher.pid();
      held.append("descriptors ").append(names(Path.of(proc, "fd"))).append('\n');
      held.append("mounts ").append(lines(proc + "/mountinfo")).append('\n');
    }
    return held.toString();
  }

  static List<ProcessHandle> launchers() {
    return ProcessHandle.current()
        .children()
        .filter(p -> p.info().command().filter(c -> c.equals(launcher().toString())).isPresent())
        .toList();
  }

  private static Set<Long> pids(List<ProcessHandle> launchers) {
    TreeSet<Long> pids = new TreeSet<>();
    for (ProcessHandle launcher : launchers) {
      pids.add(launcher.pid());
      launcher.descendants().forEach(p -> pids.add(p.pid()));
    }
    return pids;
  }

  private static Set<String> cgroups() throws IOException {
    TreeSet<String> found = new TreeSet<>();
    Files.walkFileTree(
        Path.of("/sys/fs/cgroup"),
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
            if (dir.toString().contains("/forkd-" + INSTANCE + "/")) {
              found.add(dir.toString());
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException e) {
            // Cgroups of others come and go while we look.
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException e) {
            return FileVisitResult.CONTINUE;
          }
        });
    return found;
  }

  private static Set<String> names(Path dir) throws IOException {
    TreeSet<String> names = new TreeSet<>();
    if (Files.isDirectory(dir)) {
      try (Stream<Path> files = Files.list(dir)) {
        files.forEach(file -> names.add(file.getFileName().toString()));
      }
    }
    return names;
  }

  private static long sockets(String dir) throws IOException {
    try (Stream<Path> files = Files.list(Path.of(dir))) {
      return files.filter(ProcessHost::isSocket).count();
    }
  }

  private static boolean isSocket(Path fd) {
    try {
      return Files.readSymbolicLink(fd).toString().startsWith("socket:");
    } catch (IOException e) {
      // Closed since the directory was read.
      return false;
    }
  }

  private static long lines(String file) {
    try (Stream<String> lines = Files.lines(Path.of(file))) {
      return lines.count();
    } catch (IOException e) {
      throw new TestAbortedException("cannot read " + file, e);
    }
  }
}
