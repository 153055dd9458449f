package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.client.ForkdClient;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/**
 * A daemon for one command, in the command's own process and in a directory of its own. When it is
 * closed nothing of it is left.
 */
final class PrivateDaemon implements AutoCloseable {
  private static final Duration START = Duration.ofSeconds(30);
  private static final Duration STOP = Duration.ofSeconds(40); // it drains for 30
  private static final int LOOK_AGAIN_MILLIS = 10;

  private final Directories directories;
  private final Signals signals = new Signals(number -> {});
  private final CompletableFuture<Integer> served = new CompletableFuture<>();

  private PrivateDaemon(Directories directories) {
    this.directories = directories;
  }

  /** Starts one and waits until it answers. */
  static PrivateDaemon start(Session session) throws IOException {
    if (!Directories.isRoot()) {
      session.note(Serve.ROOTLESS);
    }
    Path state = Files.createTempDirectory("forkd-");
    PrivateDaemon daemon = new PrivateDaemon(new Directories(state, state.resolve("run")));
    Thread.ofPlatform().name("private-daemon").daemon().start(() -> daemon.serve(session));
    try {
      daemon.awaitAnswer();
      return daemon;
    } catch (RuntimeException e) {
      daemon.close();
      throw e;
    }
  }

  private void serve(Session session) {
    Config config = Config.quiet(directories);
    Console world = session.console();
    Console own =
        new Console(
            Console.NO_INPUT,
            world.err(),
            world.err(),
            world.env(),
            world.cwd(),
            Console.Terminal.NONE,
            world.screen(),
            signals);
    try {
      served.complete(session.wiring().serve(config, own));
    } catch (RuntimeException e) {
      served.completeExceptionally(e);
    }
  }

  private void awaitAnswer() {
    long end = System.nanoTime() + START.toNanos();
    try (ForkdClient client = client()) {
      while (!Autostart.answers(client)) {
        if (System.nanoTime() > end) {
          throw new ForkdException(
              FailureKind.UNAVAILABLE, "the daemon of this command does not answer after 30 s");
        }
        ended(LOOK_AGAIN_MILLIS)
            .ifPresent(code -> {
              throw new ForkdException(
                  FailureKind.UNAVAILABLE, "the daemon of this command ended with code " + code);
            });
      }
    }
  }

  /** Its exit code, when it ends within that time. */
  private Optional<Integer> ended(long millis) {
    try {
      return Optional.of(served.get(millis, TimeUnit.MILLISECONDS));
    } catch (TimeoutException e) {
      return Optional.empty();
    } catch (ExecutionException e) {
      throw new Failure(
              FailureKind.UNAVAILABLE, "the daemon of this command did not start: " + e.getCause())
          .thrown(e);
    } catch (InterruptedException e) {
      throw new Failure(FailureKind.UNAVAILABLE, "interrupted while the daemon starts").thrown(e);
    }
  }

  ForkdClient client() {
    return new ForkdClient(new Endpoint.Unix(directories.socket()), "");
  }

  /** Where it keeps its things. */
  Path state() {
    return directories.state();
  }

  @Override
  public void close() {
    signals.raise(Signals.SIGTERM);
    try {
      if (ended(STOP.toMillis()).isEmpty()) {
        throw new ForkdException(
            FailureKind.INTERNAL, "the daemon of this command did not end within 40 s");
      }
    } finally {
      remove(directories.state());
    }
  }

  private static void remove(Path top) {
    try (Stream<Path> all = Files.walk(top)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    } catch (IOException e) {
      throw new Failure(
              FailureKind.INTERNAL, "cannot remove " + top + ": " + e + "; remove it by hand")
          .thrown(e);
    }
  }
}
