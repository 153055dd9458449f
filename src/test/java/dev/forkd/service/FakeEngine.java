package dev.forkd.service;

import dev.forkd.engine.Capabilities;
import dev.forkd.engine.Engine;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.Pong;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** An engine without a kernel: templates and guests are objects, failures come on order. */
public final class FakeEngine implements Engine {
  public static final String REPORT = "{\"python\":\"3.11.2\",\"numpy_version\":\"1.24.2\"}";

  private final EngineName name;
  private volatile boolean keeps;
  private final List<FakeTemplate> templates = new CopyOnWriteArrayList<>();
  private final AtomicInteger warmUps = new AtomicInteger();
  private final AtomicInteger pids = new AtomicInteger(5_000_000); // beyond PID_MAX_LIMIT
  private volatile Optional<Failure> warmFailure = Optional.empty();
  private volatile CountDownLatch warmGate = new CountDownLatch(0);
  private volatile Predicate<Integer> failingChild = index -> false;
  private final FakeBranching branching = new FakeBranching(this);
  private volatile boolean closed;

  public FakeEngine() {
    this(EngineName.PROCESS);
  }

  public FakeEngine(EngineName name) {
    this.name = name;
  }

  /** Every later warm-up fails like this. */
  public void failWarmUps(Failure failure) {
    warmFailure = Optional.of(failure);
  }

  /** Later warm-ups succeed. */
  public void healWarmUps() {
    warmFailure = Optional.empty();
  }

  /** Later warm-ups wait for this. */
  public CountDownLatch holdWarmUps() {
    warmGate = new CountDownLatch(1);
    return warmGate;
  }

  /** Which children of later batches fail, by their position in the batch. */
  public void failChildren(Predicate<Integer> chosen) {
    failingChild = chosen;
  }

  /** How branches go. */
  public FakeBranching branching() {
    return branching;
  }

  /** A template that was not warmed. */
  FakeTemplate template(WarmPlan plan) {
    FakeTemplate template = new FakeTemplate(plan);
    templates.add(template);
    return template;
  }

  @Override
  public Template restore(RestorePlan plan) {
    return branching.restore(plan);
  }

  public int warmUps() {
    return warmUps.get();
  }

  public boolean closed() {
    return closed;
  }

  /** From here on sandboxes outlive it. */
  public void keep() {
    keeps = true;
  }

  @Override
  public boolean keeps() {
    return keeps;
  }

  public List<FakeTemplate> templates() {
    return templates;
  }

  public FakeTemplate lastTemplate() {
    return templates.getLast();
  }

  /** Guests that live now, of all templates. */
  public List<FakeGuest> guests() {
    return templates.stream().flatMap(t -> t.guests.values().stream()).toList();
  }

  @Override
  public EngineName name() {
    return name;
  }

  @Override
  public Capabilities capabilities() {
    return new Capabilities(name.word(), true, true, true, Map.of());
  }

  @Override
  public Template warm(WarmPlan plan, Consumer<String> log) {
    warmUps.incrementAndGet();
    log.accept("import json 1 ms");
    try {
      if (!warmGate.await(20, TimeUnit.SECONDS)) {
        throw new AssertionError("nobody opened the gate");
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    warmFailure.ifPresent(failure -> {
      throw failure.thrown();
    });
    return template(plan);
  }

  @Override
  public void close() {
    closed = true;
    templates.forEach(FakeTemplate::close);
  }

  /** A template that was warmed. */
  public final class FakeTemplate implements Template {
    private final WarmPlan plan;
    private final Map<Object, FakeGuest> guests = new ConcurrentHashMap<>();
    private final CompletableFuture<String> ended = new CompletableFuture<>();
    private final List<ForkPlan> forkPlans = new CopyOnWriteArrayList<>();
    private volatile boolean templateClosed;

    FakeTemplate(WarmPlan plan) {
      this.plan = plan;
    }

    public WarmPlan plan() {
      return plan;
    }

    public List<ForkPlan> forkPlans() {
      return forkPlans;
    }

    public boolean closed() {
      return templateClosed;
    }

    /** The template ends by itself. */
    public void end(String how) {
      ended.complete(how);
    }

    @Override
    public String report() {
      return REPORT;
    }

    @Override
    public List<ForkOutcome> fork(ForkPlan forkPlan) {
      forkPlans.add(forkPlan);
      List<ForkOutcome> outcomes = new ArrayList<>();
      for (int i = 0; i < forkPlan.children().size(); i++) {
        outcomes.add(child(forkPlan.children().get(i), i));
      }
      return outcomes;
    }

    private ForkOutcome child(ForkPlan.Child child, int index) {
      if (failingChild.test(index)) {
        return new ForkOutcome.Failed(
            child.id(),
            new Failure(
                dev.forkd.model.FailureKind.EXHAUSTED, "child " + index + ": no more pids", "log"));
      }
      Pong.RuntimeState runtime =
          plan.runtime().isPresent() ? Pong.RuntimeState.READY : Pong.RuntimeState.NONE;
      FakeGuest guest =
          new FakeGuest(
              child.id(),
              pids.incrementAndGet(),
              runtime,
              guests,
              to -> branching.branch(plan, to));
      return new ForkOutcome.Forked(child.id(), guest, Duration.ofMillis(7));
    }

    @Override
    public CompletionStage<String> ended() {
      return ended;
    }

    @Override
    public void close() {
      templateClosed = true;
      List.copyOf(guests.values()).forEach(FakeGuest::close);
    }
  }
}
