package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the daemon of this user keeps its things.
 *
 * @param state registry, images, logs
 * @param run sockets and pid file
 */
public record Directories(Path state, Path run) {
  public Directories {
    long longest = run.resolve("forkd.sock").toString().getBytes().length;
    if (longest > Endpoint.MAX_SOCKET_PATH) {
      throw new Failure(
              FailureKind.INVALID,
              "the run directory "
                  + run
                  + " is too long for unix sockets ("
                  + Endpoint.MAX_SOCKET_PATH
                  + " bytes with the name); choose a shorter one with --run-dir or FORKD_RUN_DIR")
          .thrown();
    }
  }

  /** The directories that flags, then FORKD_STATE_DIR and FORKD_RUN_DIR, then defaults name. */
  static Directories of(Console console, String stateFlag, String runFlag) {
    String state = stateFlag.isEmpty() ? console.env("FORKD_STATE_DIR") : stateFlag;
    String run = runFlag.isEmpty() ? console.env("FORKD_RUN_DIR") : runFlag;
    Path stateDir = state.isEmpty() ? defaultState(console) : console.path(state);
    if (!run.isEmpty()) {
      return new Directories(stateDir, console.path(run));
    }
    return new Directories(
        stateDir, state.isEmpty() ? defaultRun(console, stateDir) : stateDir.resolve("run"));
  }

  private static Path defaultState(Console console) {
    if (isRoot()) {
      return Path.of("/var/lib/forkd");
    }
    String data = console.env("XDG_DATA_HOME");
    Path base =
        data.isEmpty()
            ? console.path(console.env("HOME")).resolve(".local/share")
            : console.path(data);
    return base.resolve("forkd");
  }

  private static Path defaultRun(Console console, Path state) {
    String runtime = console.env("XDG_RUNTIME_DIR");
    if (isRoot()) {
      return Path.of("/run/forkd");
    }
    return runtime.isEmpty() ? state.resolve("run") : Path.of(runtime).resolve("forkd");
  }

  /** Whether this process may do what only root may. */
  static boolean isRoot() {
    try {
      // The owner of /proc/self is the effective uid (proc(5)).
      return Integer.valueOf(0).equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    } catch (IOException e) {
      throw new UncheckedIOException("forkd runs on Linux with /proc mounted", e);
    }
  }

  /** The REST socket. */
  public Path socket() {
    return run.resolve("forkd.sock");
  }

  /** The relay's socket. */
  public Path relaySocket() {
    return run.resolve("cli.sock");
  }

  /** Where the daemon writes its pid and start time. */
  public Path pidFile() {
    return run.resolve("daemon.pid");
  }

  /** Log files. */
  public Path logs() {
    return state.resolve("logs");
  }

  /** Where a daemon that a command started logs. */
  public Path log() {
    return logs().resolve("daemon.log");
  }
}
