package dev.forkd.cli;

import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** Looks at the machine; changes nothing. */
final class HostChecks {
  /** The check that installing packages heals. */
  static final String PYTHON = "python3";

  private static final long GIB = 1L << 30;
  private static final long ENOUGH_NAMESPACES = 2000;
  private static final Pattern VERSION = Pattern.compile("^([0-9]+)\\.([0-9]+)");

  private final Session session;
  private final Path home;

  HostChecks(Session session) {
    this.session = session;
    this.home = session.wiring().home();
  }

  /** Every check of the machine, in the order of its layers. */
  List<Check> all() {
    List<Check> checks = new ArrayList<>();
    checks.add(kernel(text(Path.of("/proc/sys/kernel/osrelease"))));
    checks.add(root());
    checks.add(userNamespaces());
    checks.addAll(launcher());
    checks.add(jdk());
    checks.add(python());
    checks.add(packages());
    checks.add(disk());
    checks.add(apt());
    checks.addAll(new VmChecks(home).all());
    return checks;
  }

  /** Whether a kernel release is new enough. */
  static Check kernel(String release) {
    Matcher matcher = VERSION.matcher(release);
    if (!matcher.find()) {
      return Check.fail("kernel", "unknown release \"" + release + "\"", "forkd runs on Linux");
    }
    int version = Integer.parseInt(matcher.group(1)) * 1000 + Integer.parseInt(matcher.group(2));
    if (version < 5019) {
      return Check.fail(
          "kernel", release, "Linux 5.19 is the first with id-mapped overlay layers: upgrade");
    }
    return version >= 6006
        ? Check.pass("kernel", release)
        : Check.warn(
            "kernel",
            release + ": tmpfs has no user xattrs before 6.6",
            "a directory that a sandbox removes and makes again shows its old files; upgrade");
  }

  private static Check root() {
    return Directories.isRoot()
        ? Check.pass("root", "yes")
        : Check.warn("root", "no", Serve.ROOTLESS);
  }

  private static Check userNamespaces() {
    String max = text(Path.of("/proc/sys/user/max_user_namespaces"));
    String remedy = "sysctl -w user.max_user_namespaces=15000";
    if (!max.matches("[1-9][0-9]{0,9}")) {
      String text = max.isEmpty() ? "not in this kernel" : "switched off";
      return Check.fail("user namespaces", text, remedy);
    }
    String text = "at most " + max;
    return Long.parseLong(max) >= ENOUGH_NAMESPACES
        ? Check.pass("user namespaces", text)
        : Check.warn("user namespaces", text + "; each sandbox takes one", remedy);
  }

  private List<Check> launcher() {
    Path launcher = home.resolve("native/build/forkd-launcher");
    if (!Files.isExecutable(launcher)) {
      return List.of(
          Check.fail("launcher", launcher + " is missing", "make -C " + home + " build"));
    }
    try {
      return reported(LauncherProbe.report(launcher));
    } catch (IOException | ForkdException e) {
      return List.of(Check.fail("launcher", String.valueOf(e.getMessage()), "see docs/engines.md"));
    }
  }

  private static List<Check> reported(JsonNode report) {
    List<Check> checks = new ArrayList<>();
    checks.add(Check.pass("launcher", "answers"));
    String cgroup = report.path("cgroup").asString("none");
    String controllers = words(report.path("controllers"));
    boolean memory = controllers.contains("memory") && controllers.contains("pids");
    checks.add(
        memory
            ? Check.pass("cgroups", cgroup + ": " + controllers)
            : Check.warn(
                "cgroups",
                cgroup + ": " + (controllers.isEmpty() ? "no controllers" : controllers),
                "limits of memory, processes and cpu cannot all be set; delegate the controllers"));
    for (String feature : List.of("userns", "idmapped_mounts", "seccomp", "tmpfs_xattr")) {
      if (report.has(feature) && !report.path(feature).asBoolean(true)) {
        checks.add(Check.warn(feature, "this kernel does not have it", "see docs/engines.md"));
      }
    }
    return checks;
  }

  private static String words(JsonNode list) {
    List<String> words = new ArrayList<>();
    list.forEach(word -> words.add(word.asString("")));
    return list.isString() ? list.stringValue() : String.join(" ", words);
  }

  private static Check jdk() {
    return Check.pass("jdk", Runtime.version() + " at " + System.getProperty("java.home"));
  }

  private static Check python() {
    String version = output("/usr/bin/python3", "--version");
    return version.isEmpty()
        ? Check.fail(PYTHON, "/usr/bin/python3 is missing", "apt-get install python3")
        : Check.pass(PYTHON, version);
  }

  private static Check packages() {
    List<String> missing = new ArrayList<>();
    for (String name : List.of("numpy", "pandas", "sklearn", "pytest")) {
      if (!output("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "python3-" + name)
          .startsWith("ii")) {
        missing.add("python3-" + name);
      }
    }
    return missing.isEmpty()
        ? Check.pass("packages", "all that the bundled recipes use")
        : Check.warn(
            "packages",
            String.join(" ", missing) + " missing: bundled recipes use them",
            "scripts/setup.sh --yes, or apt-get install " + String.join(" ", missing));
  }

  private Check disk() {
    Path state = session.directories().state();
    Path existing = state;
    while (!Files.exists(existing)) {
      existing = existing.getParent() == null ? Path.of("/") : existing.getParent();
    }
    // Not through FileStore, which wants to know the mount point: in a chroot there may be none.
    long free = existing.toFile().getUsableSpace();
    String text = "%.1f GiB free for %s".formatted((double) free / GIB, state);
    if (free >= 5 * GIB) {
      return Check.pass("disk", text);
    }
    String remedy = "make room, or choose another place with FORKD_STATE_DIR";
    return free >= GIB ? Check.warn("disk", text, remedy) : Check.fail("disk", text, remedy);
  }

  private static Check apt() {
    return Files.isExecutable(Path.of("/usr/bin/mmdebstrap"))
        ? Check.pass("mmdebstrap", "recipes may build images of their own (image: apt)")
        : Check.warn(
            "mmdebstrap",
            "missing: only recipes with image: apt need it",
            "apt-get install mmdebstrap");
  }

  private static String text(Path file) {
    // One read: the kernel gives the value of a numeric sysctl to the first one only.
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = new byte[256];
      return new String(bytes, 0, Math.max(0, in.read(bytes)), StandardCharsets.UTF_8).strip();
    } catch (IOException e) {
      return ""; // what this kernel does not have is an answer
    }
  }

  /** The first line that a command prints; "" when it fails. */
  static String output(String... command) {
    Said said = said(command);
    return said.well() ? said.line() : "";
  }

  /** The first line of a command's output, and whether it ended well. */
  record Said(String line, boolean well) {}

  static Said said(String... command) {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      String text = new String(process.getInputStream().readNBytes(4096));
      boolean done = process.waitFor(10, TimeUnit.SECONDS) && process.exitValue() == 0;
      return new Said(text.lines().findFirst().orElse(""), done);
    } catch (IOException e) {
      return new Said("", false); // no such command
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return new Said("interrupted", false);
    }
  }
}
