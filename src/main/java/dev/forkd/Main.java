package dev.forkd;

import dev.forkd.api.ApiConfig;
import dev.forkd.api.ApiServer;
import dev.forkd.cli.Cli;
import dev.forkd.cli.Config;
import dev.forkd.cli.Console;
import dev.forkd.cli.Directories;
import dev.forkd.cli.PidFile;
import dev.forkd.cli.ProcessConsole;
import dev.forkd.cli.RelayServer;
import dev.forkd.cli.Signals;
import dev.forkd.cli.Wiring;
import dev.forkd.client.Endpoint;
import dev.forkd.engine.Engine;
import dev.forkd.engine.process.ProcessEngine;
import dev.forkd.engine.process.ProcessPaths;
import dev.forkd.engine.vm.VmEngine;
import dev.forkd.engine.vm.VmPaths;
import dev.forkd.host.HeapTrim;
import dev.forkd.image.ImageListener;
import dev.forkd.image.ImageStore;
import dev.forkd.image.RecipeParser;
import dev.forkd.image.StoredImage;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.service.Forkd;
import dev.forkd.service.Images;
import dev.forkd.service.Parts;
import dev.forkd.service.Resolver;
import dev.forkd.store.Registry;
import dev.forkd.store.SnapshotFiles;
import dev.forkd.store.StateDirectory;
import dev.forkd.store.Traces;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The one file that knows every package: it picks the implementations and wires them. */
public final class Main {
  private static final int SHUTDOWN_SECONDS = 40; // the daemon drains for 30

  private Main() {}

  /** Runs a command line and ends the process with its exit code. */
  public static void main(String[] args) {
    CountDownLatch finished = new CountDownLatch(1);
    Signals signals = Signals.interrupting(Thread.currentThread());
    Thread hook = new Thread(() -> shutDown(signals, finished), "shutdown");
    Runtime.getRuntime().addShutdownHook(hook);
    int code = Cli.run(List.of(args), ProcessConsole.of(signals), new Outside());
    finished.countDown();
    System.exit(code);
  }

  /** The JVM runs this when a signal ends it; the command gets the chance to end in order. */
  private static void shutDown(Signals signals, CountDownLatch finished) {
    if (finished.getCount() == 0) {
      return;
    }
    signals.raise(Signals.SIGTERM);
    try {
      if (!finished.await(SHUTDOWN_SECONDS, TimeUnit.SECONDS)) {
        System.err.println("forkd: gave up waiting for an orderly end");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** The wiring of a process of its own. */
  private static final class Outside implements Wiring {
    @Override
    public String version() {
      String version = Main.class.getPackage().getImplementationVersion();
      return version == null ? "development" : version;
    }

    @Override
    public Path home() {
      String named =
          System.getProperty("forkd.home", System.getenv().getOrDefault("FORKD_HOME", ""));
      if (!named.isEmpty()) {
        return Path.of(named).toAbsolutePath();
      }
      Path jar = Path.of(System.getProperty("java.class.path").split(":")[0]).toAbsolutePath();
      Path beside = jar.getParent();
      return beside == null || beside.getParent() == null ? Path.of("/") : beside.getParent();
    }

    @Override
    public Optional<Endpoint> daemon() {
      return Optional.empty();
    }

    @Override
    public Recipe recipe(String text, Path baseDir) {
      return RecipeParser.parse(text, baseDir);
    }

    @Override
    public int serve(Config config, Console console) {
      return Daemon.serve(config, console, this);
    }

    @Override
    public void cleanup(Directories directories, Consumer<String> before, Consumer<String> after) {
      Daemon.cleanup(directories, this, before, after);
    }
  }

  /** The wiring of the commands that the relay runs inside the daemon. */
  private record Inside(Wiring outside, Endpoint self) implements Wiring {
    @Override
    public String version() {
      return outside.version();
    }

    @Override
    public Path home() {
      return outside.home();
    }

    @Override
    public Optional<Endpoint> daemon() {
      return Optional.of(self);
    }

    @Override
    public Recipe recipe(String text, Path baseDir) {
      return outside.recipe(text, baseDir);
    }

    @Override
    public void cleanup(Directories directories, Consumer<String> before, Consumer<String> after) {
      throw new ForkdException(FailureKind.INVALID, "a daemon lives: it has nothing to clean up");
    }

    @Override
    public int serve(Config config, Console console) {
      throw new ForkdException(FailureKind.INVALID, "a daemon cannot be started in a daemon");
    }
  }

  /** The daemon. A class of its own so that other commands do not load what it is made of. */
  private static final class Daemon {
    private static final Logger LOG = LoggerFactory.getLogger(Main.class);
    private static final Duration DRAIN = Duration.ofSeconds(30);

    static int serve(Config config, Console console, Wiring wiring) {
      CountDownLatch told = new CountDownLatch(1);
      try (var _ = console.signals().handle(number -> told.countDown());
          StateDirectory directory =
              StateDirectory.open(config.directories().state(), config.directories().run());
          Registry registry = Registry.open(directory.database());
          Forkd forkd = Forkd.start(parts(directory, registry, wiring, config));
          ApiServer api = ApiServer.start(api(config, directory), forkd);
          RelayServer relay = relay(directory, wiring)) {
        Optional<HeapTrim> trim = HeapTrim.start();
        PidFile.write(directory.pidFile());
        ready(directory, api.port());
        told.await();
        LOG.info("event=stopping");
        if (config.keepOnStop()) {
          forkd.leave();
        }
        trim.ifPresent(HeapTrim::close);
        relay.close();
        Files.deleteIfExists(directory.pidFile());
      } catch (InterruptedException | IOException e) {
        throw new Failure(FailureKind.INTERNAL, "the daemon ended: " + e).thrown(e);
      }
      LOG.info("event=stopped");
      return 0;
    }

    /** Starts and ends everything but the listeners: a start is what cleans up. */
    static void cleanup(
        Directories where, Wiring wiring, Consumer<String> before, Consumer<String> after) {
      try (StateDirectory directory = StateDirectory.open(where.state(), where.run());
          Registry registry = Registry.open(directory.database())) {
        Traces.of(directory, registry).forEach(before);
        for (Path socket :
            List.of(directory.restSocket(), directory.cliSocket(), directory.pidFile())) {
          Files.deleteIfExists(socket);
        }
        Parts parts = parts(directory, registry, wiring, Config.quiet(where));
        try (Forkd forkd = Forkd.start(parts)) {
          // Its launcher sweeps the control groups when it starts.
          Objects.requireNonNull(parts.engines().get(EngineName.PROCESS)).capabilities();
          LOG.info("event=cleaned_up instance={}", forkd.instance());
        }
        Traces.of(directory, registry).forEach(after);
      } catch (IOException e) {
        throw new Failure(FailureKind.ENGINE, "cleaning up " + where.run() + ": " + e).thrown(e);
      }
    }

    private static void ready(StateDirectory directory, int port) {
      LOG.info(
          "event=ready millis_since_start={} pid={} socket={} port={} state={} instance={}",
          System.currentTimeMillis() - ManagementFactory.getRuntimeMXBean().getStartTime(),
          ProcessHandle.current().pid(),
          directory.restSocket(),
          port,
          directory.state(),
          directory.instance());
    }

    private static Parts parts(
        StateDirectory directory, Registry registry, Wiring wiring, Config config) {
      Engine process =
          new ProcessEngine(
              new ProcessPaths(
                  wiring.home().resolve("native/build/forkd-launcher"),
                  wiring.home().resolve("python"),
                  directory.agents(),
                  directory.instance()),
              config.adoptGrace());
      Path state = directory.state();
      Engine vm =
          new VmEngine(VmPaths.of(wiring.home(), state, directory.run(), directory.instance()));
      ImageStore store = new ImageStore(directory.images(), List.of(state, directory.run()));
      return new Parts(
          registry,
          new SnapshotFiles(directory.snapshots()),
          images(store, vm),
          Map.of(process.name(), process, vm.name(), vm),
          InstantSource.system(),
          wiring.version(),
          config.branchConcurrency(),
          config.memoryBudgetMib(),
          config.sweepInterval(),
          Resolver.of(config.nameServers()),
          directory.instance());
    }

    private static Images images(ImageStore store, Engine vm) {
      return new Images() {
        @Override
        public RootImage prepare(Recipe recipe, ImageListener listener) {
          return store.prepare(recipe, listener);
        }

        @Override
        public Optional<RootImage> find(String digest) {
          return store.find(digest);
        }

        @Override
        public int retain(Set<String> digests) {
          List<String> unused =
              store.images().stream()
                  .map(StoredImage::digest)
                  .filter(digest -> !digests.contains(digest))
                  .toList();
          unused.forEach(store::remove);
          vm.retainImages(store.digests());
          return unused.size();
        }

        @Override
        public void remove(String digest) {
          store.remove(digest);
          vm.retainImages(store.digests());
        }
      };
    }

    private static ApiConfig api(Config config, StateDirectory directory) {
      return new ApiConfig(
          directory.restSocket(),
          config.bind(),
          config.tokenFile(),
          config.tlsCert(),
          config.tlsKey(),
          config.auditLog().isEmpty()
              ? directory.logs().resolve("audit.log").toString()
              : config.auditLog(),
          DRAIN);
    }

    private static RelayServer relay(StateDirectory directory, Wiring wiring) {
      Endpoint self = new Endpoint.Unix(directory.restSocket());
      return new RelayServer(directory.cliSocket(), new Inside(wiring, self));
    }
  }
}
