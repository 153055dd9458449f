package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Engine;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SystemCalls;
import dev.forkd.model.Tag;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

/**
 * One engine with one warmed template, and short ways to use them. Closes what a test forked; the
 * template is shared by all tests of a class, as warming is the dear part.
 */
public final class Bench implements AutoCloseable {
  /** Descriptors that a process of the bench's template may have. */
  static final long OPEN_FILES = 500;

  /** A system call that the bench's recipe asks for; others of its kind are refused. */
  static final String ASKED_CALL = "process_vm_readv";

  public static final Duration SOON = Duration.ofSeconds(20);
  public static final Tag TAG = new Tag("contract");

  private static final Duration SHORT = Duration.ofMillis(200);
  private static final int STARTS = 10;
  private static final AtomicLong SEQUENCE = new AtomicLong();

  private final Engine engine;
  private final RootImage image;
  private final Template template;
  private final List<String> log = new ArrayList<>();
  private Duration moment = Duration.ZERO;
  private final List<AutoCloseable> opened = Collections.synchronizedList(new ArrayList<>());

  /** Warms the shared template. */
  public Bench(Engine engine, RootImage image) {
    this.engine = engine;
    this.image = image;
    this.template = engine.warm(plan(warmUp()), log::add);
  }

  public Engine engine() {
    return engine;
  }

  public Template template() {
    return template;
  }

  /** What the shared template's warm-up printed. */
  public List<String> log() {
    return List.copyOf(log);
  }

  /** The shared template's warm-up. */
  public static Recipe.WarmUp warmUp() {
    String script =
        """
        import random, tempfile, uuid, secrets
        print("warming up", flush=True)
        warmed = {"n": 0}
        random.random()
        try:
            import numpy
            numpy.random.rand()
        except ImportError:
            pass
        """;
    return warm(List.of("json", "random"), script, Optional.empty(), SOON);
  }

  public static Recipe.WarmUp warm(
      List<String> imports, String script, Optional<Long> seed, Duration deadline) {
    return new Recipe.WarmUp(
        imports, script, List.of(), List.of(), seed, List.of(), deadline, Recipe.Hooks.NONE);
  }

  /** A warm-up with hooks. */
  public static Recipe.WarmUp warm(String script, Recipe.Hooks hooks) {
    return new Recipe.WarmUp(
        List.of(), script, List.of(), List.of(), Optional.empty(), List.of(), SOON, hooks);
  }

  public WarmPlan plan(Recipe.WarmUp warm) {
    return plan(Optional.of(new Recipe.RuntimeSpec("python", "/usr/bin/python3")), warm);
  }

  public WarmPlan planWithoutRuntime() {
    return plan(Optional.empty(), warm(List.of(), "", Optional.empty(), SOON));
  }

  private WarmPlan plan(Optional<Recipe.RuntimeSpec> runtime, Recipe.WarmUp warm) {
    return new WarmPlan(
        TAG,
        image,
        runtime,
        warm,
        "/workdir",
        Map.of("RECIPE", "yes"),
        Limits.DEFAULT.withOpenFiles(OPEN_FILES),
        new SystemCalls(List.of(ASKED_CALL)),
        Network.NONE);
  }

  /**
   * Long enough for a program to start and to do something, and short: 200 ms, or what ten of the
   * simplest take one after the other where that is longer. An emulated machine is so much slower.
   */
  public synchronized Duration moment() {
    if (moment.isZero()) {
      try (Guest guest = guest(template.fork(batch(1, Limits.DEFAULT)).getFirst())) {
        sh(guest, ":");
        long start = System.nanoTime();
        for (int i = 0; i < STARTS; i++) {
          sh(guest, ":");
        }
        Duration took = Duration.ofNanos(System.nanoTime() - start);
        moment = took.compareTo(SHORT) < 0 ? SHORT : took;
      }
    }
    return moment;
  }

  /** Warms another template; closed after the test. */
  public Template warm(WarmPlan plan) {
    return later(engine.warm(plan, _ -> {}));
  }

  /** A child of the shared template. */
  public Guest fork() {
    return fork(1).getFirst();
  }

  /** Children of the shared template. */
  public List<Guest> fork(int n) {
    return fork(template, n, Limits.DEFAULT);
  }

  /** Children that all must answer. */
  public List<Guest> fork(Template from, int n, Limits limits) {
    List<ForkOutcome> outcomes = from.fork(batch(n, limits));
    // All of them first: one that failed must not keep the others open.
    for (ForkOutcome outcome : outcomes) {
      if (outcome instanceof ForkOutcome.Forked forked) {
        later(forked.guest());
      }
    }
    return outcomes.stream().map(this::guest).toList();
  }

  /** With the deadline that the service sets. */
  public ForkPlan batch(int n, Limits limits) {
    return new ForkPlan(
        IntStream.range(0, n).mapToObj(_ -> child()).toList(),
        limits,
        SOON.multipliedBy(3).plusSeconds(n));
  }

  public static ForkPlan.Child child() {
    SandboxId id = SandboxId.of(0x66666666L, SEQUENCE.incrementAndGet());
    return new ForkPlan.Child(id, UUID.randomUUID().toString().replace("-", ""));
  }

  /** The guest of an outcome; fails the test with the failure otherwise. */
  public Guest guest(ForkOutcome outcome) {
    return switch (outcome) {
      case ForkOutcome.Forked forked -> later(forked.guest());
      case ForkOutcome.Failed failed -> throw new AssertionError(failed.failure().toString());
    };
  }

  /** Has it closed after the test. */
  public Template keep(Template made) {
    return later(made);
  }

  private <T extends AutoCloseable> T later(T resource) {
    opened.add(resource);
    return resource;
  }

  /** The value of an expression in the eval session; the test fails when it raises. */
  public static String eval(Guest guest, String code) {
    EvalResult result = guest.eval(code, SOON);
    assertThat(result.error()).as("%s", result).isEmpty();
    return result.result();
  }

  /** The same expression in each, which must give as many different values. */
  public static void assertAllDiffer(List<Guest> guests, String code) {
    Set<String> values = new java.util.HashSet<>();
    guests.forEach(guest -> values.add(eval(guest, code)));
    assertThat(values).as(code).hasSize(guests.size());
  }

  /** Runs a shell command to its end. */
  public static Ran sh(Guest guest, String command) {
    return run(guest, new Program.Exec(List.of("sh", "-c", command)));
  }

  public static Ran run(Guest guest, Program program) {
    return run(guest, ProgramSpec.of(program, SOON));
  }

  public static Ran run(Guest guest, ProgramSpec spec) {
    try (RunningProgram program = guest.run(spec)) {
      return Ran.toItsEnd(program);
    }
  }

  /** Closes what the last test opened, newest first. */
  public void closeOpened() {
    for (AutoCloseable resource : List.copyOf(opened).reversed()) {
      try {
        resource.close();
      } catch (Exception e) {
        throw new AssertionError("closing " + resource, e);
      }
    }
    opened.clear();
  }

  @Override
  public void close() {
    closeOpened();
    template.close();
    engine.close();
  }
}
