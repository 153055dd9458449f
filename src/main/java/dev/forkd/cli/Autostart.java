package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Starts the default daemon in the background when none answers. Two commands at once may both try;
 * the lock on the state directory lets one daemon live, and both commands wait for that one.
 */
final class Autostart {
  private static final Duration DEADLINE = Duration.ofSeconds(30);
  private static final Duration ASK = Duration.ofSeconds(5);
  private static final int LOOK_AGAIN_MILLIS = 50;
  private static final int LOG_TAIL = 4096;

  private final Session session;
  private final Directories directories;

  Autostart(Session session) {
    this.session = session;
    this.directories = session.directories();
  }

  /** Returns when the daemon answers. */
  void ensure(ForkdClient client) {
    if (answers(client)) {
      return;
    }
    start(client);
  }

  private void start(ForkdClient client) {
    try {
      makePrivate(directories.logs());
      makePrivate(directories.run());
      Process daemon =
          new ProcessBuilder(command())
              .redirectInput(new File("/dev/null"))
              .redirectOutput(ProcessBuilder.Redirect.appendTo(directories.log().toFile()))
              .redirectErrorStream(true)
              .directory(new File("/"))
              .start();
      awaitAnswer(client, daemon);
      if (daemon.isAlive()) {
        session.note(
            "started forkd daemon (pid " + daemon.pid() + ", log " + directories.log() + ")");
        if (!Directories.isRoot()) {
          session.note(Serve.ROOTLESS);
        }
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.UNAVAILABLE, "cannot start a daemon: " + e.getMessage())
          .thrown(e);
    }
  }

  /** The daemon would make them as well; they are needed before it does. */
  private static void makePrivate(Path directory) throws IOException {
    Files.createDirectories(
        directory,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
  }

  /** The daemon in a session of its own, so that the caller's terminal does not end it. */
  private List<String> command() {
    List<String> command = new ArrayList<>(List.of("setsid"));
    Path script = session.wiring().home().resolve("forkd");
    if (Files.isExecutable(script)) {
      command.add(script.toString());
    } else {
      String java = ProcessHandle.current().info().command().orElse("java");
      command.addAll(List.of(java, "--enable-native-access=ALL-UNNAMED"));
      command.add("-Dforkd.home=" + session.wiring().home());
      command.addAll(List.of("-cp", System.getProperty("java.class.path"), "dev.forkd.Main"));
    }
    command.addAll(
        List.of(
            "serve",
            "--state-dir",
            directories.state().toString(),
            "--run-dir",
            directories.run().toString()));
    if (session.console().env("FORKD_BIND").isEmpty()) {
      // Nobody asked for a port that every user of the machine can reach.
      command.addAll(List.of("--bind", "none"));
    }
    return command;
  }

  private void awaitAnswer(ForkdClient client, Process daemon) throws IOException {
    long end = System.nanoTime() + DEADLINE.toNanos();
    try (WatchService watch = directories.state().getFileSystem().newWatchService()) {
      directories.run().register(watch, StandardWatchEventKinds.ENTRY_CREATE);
      while (true) {
        // Wakes at once when the socket appears, and looks again by itself in between: a socket is
        // there a moment before it is answered.
        WatchKey key = watch.poll(LOOK_AGAIN_MILLIS, TimeUnit.MILLISECONDS);
        if (key != null) {
          key.pollEvents();
          key.reset();
        }
        if (answers(client)) {
          return;
        }
        // The loser of two daemons ends with CONFLICT: then the winner is worth waiting for.
        boolean failed = !daemon.isAlive() && daemon.exitValue() != FailureKind.CONFLICT.exitCode();
        if (failed || System.nanoTime() > end) {
          throw notStarted(daemon);
        }
      }
    } catch (InterruptedException e) {
      throw new Failure(FailureKind.UNAVAILABLE, "interrupted while the daemon starts").thrown(e);
    }
  }

  /** Whether a daemon is there. */
  static boolean answers(ForkdClient client) {
    try {
      client.health(ASK);
      return true;
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.UNAVAILABLE) {
        throw e;
      }
      return false;
    }
  }

  private ForkdException notStarted(Process daemon) {
    String how =
        daemon.isAlive()
            ? "did not answer within 30 s"
            : "ended with exit code " + daemon.exitValue();
    return new Failure(
            FailureKind.UNAVAILABLE,
            "the daemon (pid " + daemon.pid() + ") " + how + "; its log is " + directories.log(),
            tail(directories.log()))
        .thrown();
  }

  private static String tail(Path log) {
    try (InputStream in = Files.newInputStream(log)) {
      in.skipNBytes(Math.max(0, Files.size(log) - LOG_TAIL));
      return new String(in.readNBytes(LOG_TAIL), StandardCharsets.UTF_8);
    } catch (IOException e) {
      return "(no log: " + e.getMessage() + ")";
    }
  }
}
