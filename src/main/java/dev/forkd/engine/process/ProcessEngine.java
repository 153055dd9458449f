package dev.forkd.engine.process;

import dev.forkd.engine.Capabilities;
import dev.forkd.engine.Engine;
import dev.forkd.engine.Survivor;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.engine.network.Networks;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Proc;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Engine of namespaces and fork(2); owns the launcher, which is started when first needed. */
public final class ProcessEngine implements Engine {
  private static final Logger LOG = LoggerFactory.getLogger(ProcessEngine.class);

  /** How much longer than the launcher itself we wait for a warm-up. */
  private static final Duration MARGIN = Duration.ofSeconds(10);

  private final ProcessPaths paths;
  private final Duration grace;
  private final UidRanges uids = new UidRanges();
  private final TemplateNames names = new TemplateNames();
  private Optional<Live> live = Optional.empty();
  private Optional<Found> found = Optional.empty();
  private Optional<Networks> networks = Optional.empty();
  private boolean closed;

  /** A launcher that was started, and what is below it. */
  private record Live(LauncherClient launcher, Family family, Host host) {}

  /** An engine whose sandboxes end with it; starts nothing yet. */
  public ProcessEngine(ProcessPaths paths) {
    this(paths, Duration.ZERO);
  }

  /**
   * An engine; starts nothing yet.
   *
   * @param grace how long templates and sandboxes live on without a daemon; zero = not at all
   */
  public ProcessEngine(ProcessPaths paths, Duration grace) {
    this.paths = paths;
    this.grace = grace;
  }

  @Override
  public EngineName name() {
    return EngineName.PROCESS;
  }

  @Override
  public Capabilities capabilities() {
    return live().host().capabilities();
  }

  /** The launcher that lives, started if there is none. */
  private synchronized Live live() {
    if (closed) {
      throw new ForkdException(FailureKind.ENGINE, "the process engine is closed");
    }
    if (live.isPresent() && live.get().launcher().alive()) {
      return live.get();
    }
    if (live.isEmpty()) {
      dismissFound();
    }
    Host.check(paths);
    Family family = new Family();
    LauncherClient.Greeted greeted = LauncherClient.start(paths, grace, family);
    Live started = new Live(greeted.client(), family, Host.of(greeted.report()));
    if (!started.host().missing().isEmpty()) {
      LOG.warn("event=limits_weakened no_controllers={}", started.host().missing());
    }
    live = Optional.of(started);
    return started;
  }

  @Override
  public synchronized List<Survivor> survivors() {
    if (grace.isZero()) {
      dismissFound();
      return List.of();
    }
    Family family = new Family();
    try {
      found = Found.connect(paths).map(channel -> take(channel, family));
    } catch (ForkdException e) {
      Found.refused(e);
      live.ifPresent(half -> half.launcher().close());
      live = Optional.empty();
    }
    return found.map(Found::survivors).orElseGet(List::of);
  }

  // Its ranges and names are taken before anything else can ask for some.
  private Found take(SocketChannel channel, Family family) {
    LauncherClient.Found launcher = LauncherClient.adopt(channel, paths, family);
    Host host = Host.of(launcher.answer().text(FieldKey.REPORT));
    live = Optional.of(new Live(launcher.client(), family, host));
    Found have = new Found(launcher.answer());
    have.uidBases()
        .forEach((name, first) -> {
          names.after(name);
          uids.take(first);
        });
    return have;
  }

  private void dismissFound() {
    Found.connect(paths).ifPresent(channel -> LauncherClient.dismiss(channel, new Family()));
  }

  @Override
  public Template adopt(Survivor survivor, WarmPlan plan) {
    Live parent = live();
    String name = survivor.template();
    Fate fate = parent.family().addTemplate(name, "the template of snapshot " + plan.tag(), 0);
    long uidBase = takeFound(name);
    LOG.info("event=adopted template={} sandboxes={}", name, survivor.sandboxes().size());
    return template(parent, name, plan, fate, "{}", uidBase);
  }

  private synchronized long takeFound(String name) {
    return found.orElseThrow().take(name);
  }

  @Override
  public synchronized void endSurvivors() {
    found.ifPresent(have -> {
      for (String name : have.left()) {
        LOG.info("event=not_adopted template={}", name);
        discard(live(), name);
        uids.release(have.take(name));
      }
    });
    found = Optional.empty();
  }

  private Template template(
      Live parent, String name, WarmPlan plan, Fate fate, String report, long uidBase) {
    return new ProcessTemplate(
        name,
        plan,
        new Surroundings(paths, parent.launcher(), parent.family(), names, this::networksInUse),
        fate,
        report,
        () -> uids.release(uidBase));
  }

  @Override
  public Template warm(WarmPlan plan, Consumer<String> log) {
    Live parent = live();
    String tag = plan.tag().text();
    String name = names.next(plan.tag());
    long uidBase = uids.take();
    Fate fate = parent.family().addTemplate(name, "the template of snapshot " + tag, 0);
    long start = System.nanoTime();
    try {
      Fields ready = warm(parent, name, plan, uidBase, log);
      String report = ready.text(FieldKey.REPORT);
      LOG.info("event=warmed template={} millis={}", name, (System.nanoTime() - start) / 1_000_000);
      return template(parent, name, plan, fate, report.isEmpty() ? "{}" : report, uidBase);
    } catch (ForkdException e) {
      parent.family().removeTemplate(name);
      uids.release(uidBase);
      throw e;
    }
  }

  private Fields warm(Live parent, String name, WarmPlan plan, long uidBase, Consumer<String> log) {
    LineSplitter lines = new LineSplitter(log);
    Duration wait = plan.warm().deadline().plus(MARGIN);
    try {
      return parent
          .launcher()
          .call(
              FrameType.L_TEMPLATE,
              TemplateFields.template(name, plan, uidBase, paths),
              wait,
              "warming " + plan.tag(),
              lines::add);
    } catch (ForkdException e) {
      discard(parent, name);
      throw asRecipeFault(e);
    } finally {
      lines.end();
    }
  }

  /** After a deadline of ours the launcher may still be at it; otherwise there is nothing left. */
  private static void discard(Live parent, String name) {
    try {
      Fields fields = Fields.builder().text(FieldKey.NAME, name).build();
      parent.launcher().end(FrameType.L_DISCARD, fields, "ending template " + name);
    } catch (ForkdException e) {
      LOG.debug("event=discard_refused template={} error=\"{}\"", name, e.getMessage());
    }
  }

  /** An exception in the recipe's own code is for its author to mend, not the engine's failure. */
  private static ForkdException asRecipeFault(ForkdException e) {
    Failure failure = e.failure();
    if (failure.kind() != FailureKind.ENGINE || failure.detail().isEmpty()) {
      return e;
    }
    return new Failure(FailureKind.INVALID, failure.message(), failure.detail()).thrown(e);
  }

  @Override
  public Set<Network> networks() {
    // Devices, routes and rules of this host are its root's to change.
    return Proc.effectiveUid() == 0 ? EnumSet.allOf(Network.class) : EnumSet.of(Network.NONE);
  }

  @Override
  public void recover() {
    if (Files.isDirectory(paths.networkRecords())) {
      openNetworks().close();
    }
  }

  private Networks openNetworks() {
    return new Networks(paths.networkProgram(), paths.networkRecords(), Networks.Card.PAIR);
  }

  /** Made when a sandbox first needs one. */
  private synchronized Networks networksInUse() {
    if (closed) {
      throw new ForkdException(FailureKind.ENGINE, "the process engine is closed");
    }
    if (networks.isEmpty()) {
      networks = Optional.of(openNetworks());
    }
    return networks.get();
  }

  @Override
  public boolean keeps() {
    return !grace.isZero();
  }

  @Override
  public void leave() {
    close(grace.isZero() ? LauncherClient::close : LauncherClient::leave);
  }

  @Override
  public void close() {
    close(LauncherClient::close);
  }

  private synchronized void close(Consumer<LauncherClient> end) {
    closed = true;
    live.map(Live::launcher).ifPresent(end);
    live = Optional.empty();
    networks.ifPresent(Networks::close);
    networks = Optional.empty();
  }
}
