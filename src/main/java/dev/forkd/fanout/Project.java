package dev.forkd.fanout;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Where a project begins, and which of the user's variables its tests get. */
public final class Project {
  private static final List<String> MARKS =
      List.of("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "setup.py", ".git");

  /** Told of a terminal or a login, not of a project; or naming what a sandbox does not have. */
  private static final Set<String> NOT_PASSED =
      Set.of(
          "_",
          "PWD",
          "OLDPWD",
          "SHLVL",
          "COLUMNS",
          "LINES",
          "TMPDIR",
          "TEMP",
          "TMP",
          "TERM_PROGRAM",
          "TERM_SESSION_ID",
          "WINDOWID",
          "STY",
          "TMUX",
          "TMUX_PANE",
          "LD_PRELOAD",
          "MAKEFLAGS",
          "MAKELEVEL",
          "MFLAGS",
          "DBUS_SESSION_BUS_ADDRESS",
          "XDG_RUNTIME_DIR",
          "XDG_SESSION_ID",
          "HOSTNAME",
          "INVOCATION_ID",
          "JOURNAL_STREAM");

  private static final List<String> NOT_PASSED_PREFIXES =
      List.of("FORKD_", "SSH_", "BASH_FUNC_", "PYTEST_XDIST_");

  private Project() {}

  /**
   * The nearest directory upwards that has the files of a project; the directory itself when there
   * is none.
   *
   * @throws ForkdException INVALID when it cannot be looked at, or is no place for a project
   */
  public static Path root(Path cwd) {
    try {
      Path real = cwd.toRealPath();
      for (Path at = real; at.getNameCount() > 0; at = up(at)) {
        Path place = at;
        if (MARKS.stream().anyMatch(mark -> Files.exists(place.resolve(mark)))) {
          return checked(at);
        }
      }
      return checked(real);
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "cannot read " + cwd + ": " + e).thrown(e);
    }
  }

  private static Path up(Path path) {
    Path parent = path.getParent();
    return parent == null ? Path.of("/") : parent;
  }

  private static Path checked(Path root) {
    boolean covered =
        List.of("/tmp", "/proc", "/sys", "/dev", "/run").stream().anyMatch(root::startsWith);
    if (covered || root.getNameCount() == 0) {
      throw new ForkdException(
          FailureKind.INVALID,
          "a project in "
              + root
              + " cannot be tested: every sandbox has a /tmp, /run, /dev, /proc and /sys of its"
              + " own; move it, or change into the project's directory");
    }
    return root;
  }

  /** The environment of collection and tests, from the user's. */
  public static Map<String, String> environment(Map<String, String> user) {
    Map<String, String> env = new TreeMap<>();
    user.forEach((name, value) -> {
      boolean passed =
          name.matches("[A-Za-z_][A-Za-z0-9_]*")
              && !NOT_PASSED.contains(name)
              && NOT_PASSED_PREFIXES.stream().noneMatch(name::startsWith);
      if (passed && value.indexOf('\0') < 0) {
        env.put(name, value);
      }
    });
    return env;
  }
}
