package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.engine.Template;
import dev.forkd.model.EngineName;
import dev.forkd.model.Event;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.Tag;
import dev.forkd.store.Registry;
import dev.forkd.store.SnapshotFiles;
import dev.forkd.store.Terms;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;

/**
 * What the service is made of.
 *
 * @param registry owned by the caller
 * @param files of snapshots
 * @param images root file systems
 * @param engines what is available here; closed by {@link Forkd#close}
 * @param clock wall clock
 * @param version of forkd, for the metrics
 * @param branchCap branches that may be made at once, at least 1
 * @param memoryBudgetMib of all sandboxes together, in MiB; 0 = none
 * @param sweepInterval between two looks for what nobody needs on the disk; zero = at the start
 *     only
 * @param resolver of names that sandboxes may reach
 * @param instance label of this daemon, which its cgroups carry; two daemons never share one
 */
public record Parts(
    Registry registry,
    SnapshotFiles files,
    Images images,
    Map<EngineName, Engine> engines,
    InstantSource clock,
    String version,
    int branchCap,
    long memoryBudgetMib,
    Duration sweepInterval,
    Resolver resolver,
    String instance) {
  /** Branches at once when nobody says otherwise. */
  public static final int DEFAULT_BRANCH_CAP = 4;

  public Parts {
    engines = Map.copyOf(engines);
  }

  /** The engine of that name. */
  Engine engine(EngineName name) {
    Engine engine = engines.get(name);
    if (engine == null) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          ("engine %s is not available in this daemon (it has: %s):"
                  + " choose another, or see what `forkd doctor` says of it")
              .formatted(name.word(), available()));
    }
    return engine;
  }

  /**
   * The engine of a recipe that does not name one: virtual machines where KVM runs them, or where
   * no other engine has the network.
   */
  EngineName defaultEngine(Network network) {
    List<EngineName> able =
        engines.values().stream()
            .filter(engine -> engine.networks().contains(network))
            .map(Engine::name)
            .sorted()
            .toList();
    return able.stream()
        .filter(name -> engine(name).preferred())
        .findFirst()
        .orElseGet(() -> able.isEmpty() ? EngineName.PROCESS : able.getFirst());
  }

  /** Writes down what the next daemon takes a template over by, if the engine keeps any for it. */
  void keep(EngineName engine, Tag tag, Template template) {
    if (engine(engine).keeps()) {
      registry.template(tag, template.name());
    }
  }

  /** Writes down what the next daemon takes sandboxes over with, if the engine keeps any for it. */
  void keep(EngineName engine, List<Terms> terms) {
    if (engine(engine).keeps()) {
      registry.terms(terms);
    }
  }

  private String available() {
    return engines.isEmpty()
        ? "none"
        : String.join(", ", engines.keySet().stream().map(EngineName::word).sorted().toList());
  }

  /** Seconds since 1970. */
  long unixSeconds() {
    return clock.instant().getEpochSecond();
  }

  /** An event that happens now. */
  Event event(String kind, String subject, String message) {
    return new Event(clock.millis(), kind, subject, message);
  }
}
