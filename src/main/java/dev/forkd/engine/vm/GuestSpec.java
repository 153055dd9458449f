package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.engine.WarmPlan;
import dev.forkd.engine.WarmSpec;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.model.Network;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What a guest boots from: the first process, its orders, modules and the runtime's files. */
final class GuestSpec {
  private static final int EXECUTABLE = 0755;
  private static final int READABLE = 0644;
  private static final int SPEC_TYPE = 1;
  private static final String PYTHONPATH = "PYTHONPATH";
  private static final String RUNTIME_PATH = "/.forkd/python";

  // One thread per numeric library: thread pools that were started before a fork do not survive it.
  private static final Map<String, String> DEFAULTS =
      Map.of(
          "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "HOME", "/root",
          "LANG", "C.UTF-8",
          "OMP_NUM_THREADS", "1",
          "OPENBLAS_NUM_THREADS", "1",
          "MKL_NUM_THREADS", "1",
          "NUMEXPR_NUM_THREADS", "1");

  private GuestSpec() {}

  /** Writes the initramfs of a template. */
  static void writeInitramfs(Path to, VmPaths paths, GuestKernel kernel, WarmPlan plan)
      throws IOException {
    try (Cpio cpio = new Cpio(new BufferedOutputStream(Files.newOutputStream(to)))) {
      cpio.file("init", EXECUTABLE, Files.readAllBytes(paths.init()));
      cpio.directory("dev");
      cpio.file("spec", READABLE, spec(kernel, plan));
      for (Path module : kernel.modules(hasNetwork(plan))) {
        cpio.file("modules/" + module.getFileName(), READABLE, Files.readAllBytes(module));
      }
      cpio.file("forkd/warm.json", READABLE, WarmSpec.of(plan).getBytes(UTF_8));
      if (plan.servesPrograms()) {
        cpio.file("front", EXECUTABLE, Files.readAllBytes(paths.front()));
      }
      for (Path source : sources(paths.runtimeDir())) {
        String name = paths.runtimeDir().relativize(source).toString();
        cpio.file("forkd/python/" + name, READABLE, Files.readAllBytes(source));
      }
    }
  }

  /** Writes an initramfs whose first process only proves that the kernel boots. */
  static void writeProbe(Path to, VmPaths paths) throws IOException {
    try (Cpio cpio = new Cpio(new BufferedOutputStream(Files.newOutputStream(to)))) {
      cpio.file("init", EXECUTABLE, Files.readAllBytes(paths.init()));
      cpio.directory("dev");
    }
  }

  private static List<Path> sources(Path dir) throws IOException {
    List<Path> found = new ArrayList<>();
    for (String part : List.of("forkd_runtime", "forkd_pytest")) {
      try (Stream<Path> files = Files.walk(dir.resolve(part))) {
        files.filter(file -> file.toString().endsWith(".py")).sorted().forEach(found::add);
      }
    }
    return found;
  }

  private static byte[] spec(GuestKernel kernel, WarmPlan plan) {
    Fields.Builder fields = Fields.builder();
    kernel
        .modules(hasNetwork(plan))
        .forEach(m -> fields.text(FieldKey.NAME, m.getFileName().toString()));
    plan.runtime()
        .ifPresent(runtime ->
            fields
                .texts(
                    FieldKey.ARGV,
                    List.of(
                        runtime.interpreter(),
                        "-m",
                        "forkd_runtime.serve",
                        "--fd",
                        "3",
                        "--warm",
                        "/.forkd/warm.json"))
                .entries(FieldKey.ENV, ofRuntime(plan)));
    fields
        .texts(FieldKey.HIDDEN, plan.image().hidden())
        .texts(FieldKey.WRITABLE, plan.image().writable())
        .text(FieldKey.CWD, plan.workdir())
        .integer(FieldKey.BYTES, plan.image().layers().size())
        .integer(FieldKey.NETWORK, hasNetwork(plan) ? 1 : 0)
        .integer(FieldKey.DISK_BYTES, plan.limits().diskBytes())
        .integer(FieldKey.TMP_BYTES, plan.limits().tmpBytes())
        .integer(FieldKey.SHM_BYTES, plan.limits().shmBytes())
        .integer(FieldKey.OPEN_FILES, plan.limits().openFiles())
        .texts(FieldKey.SYSCALLS, plan.syscalls().asked());
    return new Frame(SPEC_TYPE, 0, fields.build()).encoded();
  }

  private static boolean hasNetwork(WarmPlan plan) {
    return plan.network() != Network.NONE;
  }

  private static Map<String, String> ofRuntime(WarmPlan plan) {
    Map<String, String> env = merged(plan.env());
    // The runtime takes its own entry out again before any code of the recipe runs.
    env.merge(PYTHONPATH, RUNTIME_PATH, (theirs, ours) -> ours + ":" + theirs);
    return env;
  }

  /** Environment of commands and calls in one sandbox. */
  static Map<String, String> ofPrograms(Map<String, String> own, String hostname) {
    Map<String, String> env = merged(own);
    env.putIfAbsent("HOSTNAME", hostname);
    return env;
  }

  private static Map<String, String> merged(Map<String, String> own) {
    Map<String, String> env = new TreeMap<>(DEFAULTS);
    env.putAll(own);
    return env;
  }
}
