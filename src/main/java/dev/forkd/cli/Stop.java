package dev.forkd.cli;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
    name = "stop",
    description = "Ends the daemon of FORKD_RUN_DIR, and with it every sandbox.",
    footer = {"", "Example:", "  forkd stop"})
final class Stop implements Callable<Integer> {
  private static final int PATIENCE_SECONDS = 45; // the daemon gives itself 30

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  Stop(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() {
    Directories directories = session.directories();
    Optional<ProcessHandle> daemon = PidFile.read(directories.pidFile());
    if (daemon.isEmpty()) {
      session.say("no daemon runs at " + directories.run());
      return 0;
    }
    ProcessHandle process = daemon.get();
    if (!process.destroy()) {
      throw new ForkdException(
          FailureKind.UNAVAILABLE,
          "cannot signal the daemon (pid " + process.pid() + "): it belongs to another user");
    }
    await(process);
    session.say("stopped forkd daemon (pid " + process.pid() + ")");
    return 0;
  }

  private static void await(ProcessHandle process) {
    try {
      process.onExit().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw new Failure(
              FailureKind.TIMEOUT,
              "the daemon (pid %d) has not ended within %d s after SIGTERM"
                  .formatted(process.pid(), PATIENCE_SECONDS))
          .thrown(e);
    } catch (InterruptedException | ExecutionException e) {
      throw new Failure(FailureKind.UNAVAILABLE, "waiting for the daemon's end was given up")
          .thrown(e);
    }
  }
}
