package dev.forkd.image;

import dev.forkd.host.Proc;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/** Debian packages in a root of their own, made by mmdebstrap. */
final class AptImage {
  private static final Duration DEADLINE = Duration.ofMinutes(30);

  /**
   * Only what no maintainer script looks at: excluding a directory of programs or tests makes
   * update-alternatives and py3compile fail.
   */
  private static final List<String> LEFT_OUT =
      List.of(
          "/usr/share/man/*",
          "/usr/share/info/*",
          "/usr/share/locale/*",
          "/usr/share/lintian/*",
          "/usr/share/doc/*");

  private final String suite;
  private final String mirror;
  private final List<String> packages;

  private AptImage(String suite, String mirror, List<String> packages) {
    this.suite = suite;
    this.mirror = mirror;
    this.packages = packages;
  }

  /**
   * The image that {@code wanted} describes; what it does not say is as on this host.
   *
   * @throws ForkdException INVALID when the host has no apt sources to take it from
   */
  static AptImage of(Recipe.Image.Apt wanted, AptSources host) {
    return new AptImage(
        wanted.suite().isEmpty() ? host.suite() : wanted.suite(),
        wanted.mirror().isEmpty() ? host.mirror() : wanted.mirror(),
        List.copyOf(new TreeSet<>(wanted.packages())));
  }

  /** Checks what can be known before anything is downloaded. */
  void check(Recipe recipe) {
    boolean python = packages.stream().anyMatch(name -> name.startsWith("python3"));
    if (recipe.runtime().isPresent() && !python) {
      throw new ForkdException(
          FailureKind.INVALID, "packages: `runtime: python` needs the package python3");
    }
    if (Proc.effectiveUid() != 0) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "`image: apt` needs a daemon that runs as root, which the owners of a package's files are"
              + " given by; without root use `image: host` or `image: dir`");
    }
    if (!BuildTool.isInstalled("mmdebstrap")) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "`image: apt` needs mmdebstrap, which this host lacks; run: sudo apt-get install -y"
              + " mmdebstrap (or use `image: host`)");
    }
  }

  /** Digest of what is asked for; the versions are the archive's at the time of the build. */
  String digest() {
    return new ContentDigest("apt/1").add(suite).add(mirror).add(packages).add(LEFT_OUT).hex();
  }

  /** What it is, for people. */
  String described() {
    return suite + " with " + (packages.isEmpty() ? "nothing more" : String.join(", ", packages));
  }

  /** The command that fills {@code tree}. */
  List<String> command(Path tree) {
    List<String> command = new ArrayList<>();
    // A mount or process namespace of its own: whatever ends the tool ends its mounts as well.
    command.addAll(
        List.of("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"));
    command.addAll(List.of("mmdebstrap", "--mode=root", "--variant=minbase", "--format=dir"));
    if (!packages.isEmpty()) {
      command.add("--include=" + String.join(",", packages));
    }
    LEFT_OUT.forEach(path -> command.add("--dpkgopt=path-exclude=" + path));
    command.add("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    command.addAll(List.of(suite, tree.toString(), mirror));
    return command;
  }

  /**
   * Fills {@code tree}.
   *
   * @throws ForkdException ENGINE with the end of the tool's output; EXHAUSTED when the disk is
   *     full
   */
  void build(Path tree, ImageListener listener) throws IOException {
    listener.progress("installing " + described() + " from " + mirror);
    BuildTool.Ended ended = BuildTool.run(command(tree), DEADLINE, listener::log);
    if (ended.exitCode() != 0) {
      String doing = "image: mmdebstrap of " + suite + " failed";
      throw new Failure(
              DiskFailure.isFull(ended.tail()) ? FailureKind.EXHAUSTED : FailureKind.ENGINE,
              DiskFailure.isFull(ended.tail())
                  ? DiskFailure.full(doing, tree).message()
                  : doing + " (exit code " + ended.exitCode() + "); see the end of its output",
              ended.tail())
          .thrown();
    }
    listener.progress("writing the image to disk");
    BuildTool.Ended synced =
        BuildTool.run(List.of("sync", "-f", tree.toString()), Duration.ofMinutes(5), listener::log);
    if (synced.exitCode() != 0) {
      throw new IOException("sync failed: " + synced.tail());
    }
  }
}
