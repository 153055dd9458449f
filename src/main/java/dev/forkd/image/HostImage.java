package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The machine's own root as an image: its programs and libraries are there, its data is hidden.
 * Whatever lies at the top of "/" and is not known to be part of an operating system is hidden too.
 */
final class HostImage {
  private static final Set<String> SYSTEM =
      Set.of(
          "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "var", "nix",
          "gnu", "dev", "proc", "sys");

  private static final List<String> PRIVATE =
      List.of(
          "/etc/ssh",
          "/etc/ssl/private",
          "/etc/sudoers",
          "/etc/sudoers.d",
          "/etc/wireguard",
          "/etc/NetworkManager/system-connections",
          "/etc/kubernetes",
          "/etc/docker",
          "/var/log",
          "/var/spool",
          "/var/mail",
          "/var/backups",
          "/var/tmp",
          "/var/crash",
          "/var/www",
          "/var/snap");

  /** Data of services below /var/lib. */
  private static final List<String> SERVICES =
      List.of(
          "docker",
          "containerd",
          "containers",
          "kubelet",
          "etcd",
          "rancher",
          "cni",
          "libvirt",
          "lxc",
          "lxd",
          "lxcfs",
          "machines",
          "mysql",
          "mysql-files",
          "postgresql",
          "redis",
          "mongodb",
          "elasticsearch",
          "rabbitmq",
          "influxdb",
          "grafana",
          "prometheus",
          "jenkins",
          "private",
          "systemd/coredump",
          "NetworkManager",
          "bluetooth",
          "cloud",
          "dhcp",
          "sss",
          "samba",
          "vault",
          "snapd",
          "forkd");

  /** Password files and what is left of their edits. */
  private static final String ACCOUNTS = "{shadow,gshadow}*";

  private static final List<String> WRITABLE =
      List.of(
          "/root",
          "/home",
          "/tmp",
          "/var/tmp",
          "/var/log",
          "/var/spool",
          "/run",
          "/etc",
          "/opt",
          "/usr/local",
          "/srv",
          "/mnt",
          "/media");

  private static final Path DPKG_STATUS = Path.of("/var/lib/dpkg/status");
  private static final Duration QUERY_DEADLINE = Duration.ofSeconds(30);

  private HostImage() {}

  /**
   * Digest of everything about the host that the image depends on and that can be asked cheaply.
   */
  static void addTo(ContentDigest digest, List<String> hidden) throws IOException {
    digest.add("host/1").add(hidden);
    for (Path facts : List.of(Path.of("/etc/os-release"), DPKG_STATUS)) {
      if (Files.isRegularFile(facts)) {
        digest.addFile(facts);
      }
    }
  }

  static RootImage.Layer layer() {
    return new RootImage.Layer(Path.of("/"), false, false);
  }

  /** Directories that root of a sandbox owns; a link would name another place than it seems. */
  static List<String> writable(String workdir) {
    Set<String> all = new LinkedHashSet<>(WRITABLE);
    all.removeIf(path -> Files.isSymbolicLink(Path.of(path)));
    if (!workdir.equals("/")) {
      all.add(workdir);
    }
    return List.copyOf(all);
  }

  /**
   * Paths that no sandbox may see, without those that lie in others, sorted; only what exists.
   *
   * @param more hidden as well: forkd's own directories and what the recipe says
   */
  static List<String> hidden(List<String> more) throws IOException {
    Set<String> named = new TreeSet<>(more);
    named.addAll(PRIVATE);
    SERVICES.forEach(name -> named.add("/var/lib/" + name));
    named.addAll(homes());
    try (var accounts = Files.newDirectoryStream(Path.of("/etc"), ACCOUNTS)) {
      accounts.forEach(file -> named.add(file.toString()));
    }
    Set<String> all = new TreeSet<>();
    for (String path : named) {
      addReal(Path.of(path), all);
    }
    try (var top = Files.newDirectoryStream(Path.of("/"))) {
      for (Path entry : top) {
        if (!SYSTEM.contains(String.valueOf(entry.getFileName()))) {
          all.add(entry.toString());
        }
      }
    }
    return outermost(all);
  }

  /** Adds where a path really is, if it exists; of a link both itself and what it leads to. */
  private static void addReal(Path path, Set<String> all) throws IOException {
    Path parent = path.getParent();
    if (parent == null || !Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    all.add(parent.toRealPath().resolve(path.getFileName()).toString());
    if (Files.isSymbolicLink(path) && Files.exists(path)) {
      all.add(path.toRealPath().toString());
    }
  }

  /** Homes of people: accounts from uid 1000 on. */
  private static List<String> homes() throws IOException {
    List<String> homes = new ArrayList<>();
    for (String line : Files.readAllLines(Path.of("/etc/passwd"))) {
      String[] account = line.split(":", -1);
      boolean person = account.length >= 6 && account[2].matches("[1-9]\\d{3,9}");
      if (person && account[5].startsWith("/")) {
        Path home = Path.of(account[5]).normalize();
        // A home that is a system's directory itself belongs to a service, not to a person.
        if (home.getNameCount() > 1 && !isIn(home.toString(), "/usr")) {
          homes.add(home.toString());
        }
      }
    }
    return homes;
  }

  private static List<String> outermost(Set<String> sorted) {
    List<String> outermost = new ArrayList<>();
    for (String path : sorted) {
      if (outermost.stream().noneMatch(outer -> isIn(path, outer))) {
        outermost.add(path);
      }
    }
    return outermost;
  }

  static boolean isIn(String path, String outer) {
    return path.equals(outer) || path.startsWith(outer + "/");
  }

  /**
   * Checks that nothing the recipe needs is hidden.
   *
   * @throws ForkdException INVALID with another place to use
   */
  static void check(Recipe recipe, List<String> hidden) {
    recipe
        .runtime()
        .ifPresent(runtime -> checkInterpreter(recipe, Path.of(runtime.interpreter()), hidden));
    for (Recipe.CopiedFile file : recipe.files()) {
      if (file.workingTree()) {
        continue; // asked for by name: it is seen, what lies around it is not
      }
      for (String path : hidden) {
        if (isIn(file.to(), path)) {
          throw new ForkdException(
              FailureKind.INVALID,
              "files: %s would go into %s, which an image of the host hides; use /opt/%s"
                  .formatted(file.from(), path, recipe.name()));
        }
      }
    }
  }

  private static void checkInterpreter(Recipe recipe, Path interpreter, List<String> hidden) {
    if (!Files.isExecutable(interpreter)) {
      throw new ForkdException(
          FailureKind.INVALID,
          "runtime: this host has no " + interpreter + "; apt-get install python3");
    }
    try {
      for (String place : List.of(interpreter.toString(), interpreter.toRealPath().toString())) {
        boolean copied =
            recipe.files().stream().anyMatch(f -> f.workingTree() && isIn(place, f.to()));
        if (!copied && hidden.stream().anyMatch(path -> isIn(place, path))) {
          throw new ForkdException(
              FailureKind.INVALID,
              "runtime: " + place + " is hidden in an image of the host; use /usr/bin/python3");
        }
      }
    } catch (IOException trouble) {
      throw DiskFailure.of("runtime: " + interpreter, interpreter, trouble);
    }
  }

  /**
   * Checks that the packages are installed.
   *
   * @throws ForkdException INVALID naming the missing ones and the command that installs them
   */
  static void checkPackages(List<String> packages, ImageListener listener) {
    if (packages.isEmpty()) {
      return;
    }
    if (!BuildTool.isInstalled("dpkg-query")) {
      listener.log("packages are not checked: this host has no dpkg-query");
      return;
    }
    Set<String> installed = installed(packages);
    List<String> missing =
        packages.stream().filter(name -> !installed.contains(name)).distinct().toList();
    if (!missing.isEmpty()) {
      String names = String.join(" ", missing);
      throw new Failure(
              FailureKind.INVALID,
              "packages: this host lacks %s; run: sudo apt-get install -y %s"
                  .formatted(String.join(", ", missing), names))
          .thrown();
    }
  }

  private static Set<String> installed(List<String> packages) {
    List<String> command = new ArrayList<>();
    command.addAll(
        List.of("dpkg-query", "-W", "-f=${db:Status-Abbrev} ${Package} ${binary:Package}\\n"));
    command.add("--");
    command.addAll(packages);
    Set<String> installed = new TreeSet<>();
    // It exits with 1 when it does not know one of them; what it knows it still tells.
    BuildTool.run(
        command,
        QUERY_DEADLINE,
        line -> {
          String[] words = line.trim().split(" +");
          if (words.length == 3 && words[0].equals("ii")) {
            installed.add(words[1]);
            installed.add(words[2]);
          }
        });
    return installed;
  }
}
