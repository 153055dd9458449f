package dev.forkd.service;

import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import dev.forkd.model.Recipe;
import dev.forkd.model.SystemCalls;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Branches of {@link FakeEngine}: a file when they are durable, failures and delays on order. */
public final class FakeBranching {
  private static final Recipe.WarmUp NOTHING =
      new Recipe.WarmUp(
          List.of(),
          "",
          List.of(),
          List.of(),
          Optional.empty(),
          List.of(),
          Duration.ofSeconds(1),
          Recipe.Hooks.NONE);

  private final FakeEngine engine;
  private final List<BranchPlan> plans = new CopyOnWriteArrayList<>();
  private final List<RestorePlan> restored = new CopyOnWriteArrayList<>();
  private volatile boolean durable = true;
  private volatile Optional<Failure> failure = Optional.empty();
  private volatile Optional<Failure> copyFailure = Optional.empty();
  private volatile CountDownLatch gate = new CountDownLatch(0);
  private volatile String warning = "";

  FakeBranching(FakeEngine engine) {
    this.engine = engine;
  }

  /** Later branches live in memory only. */
  public void inMemory() {
    durable = false;
  }

  /** Later branches fail at once. */
  public void fail(Failure why) {
    failure = Optional.of(why);
  }

  /** Later branches fail while they are written. */
  public void failCopies(Failure why) {
    copyFailure = Optional.of(why);
  }

  public void heal() {
    failure = Optional.empty();
    copyFailure = Optional.empty();
  }

  /** Later branches are written when this is opened. */
  public CountDownLatch hold() {
    gate = new CountDownLatch(1);
    return gate;
  }

  public void warn(String text) {
    warning = text;
  }

  public List<BranchPlan> plans() {
    return plans;
  }

  public List<RestorePlan> restored() {
    return restored;
  }

  Branch branch(WarmPlan source, BranchPlan plan) {
    plans.add(plan);
    failure.ifPresent(why -> {
      throw why.thrown();
    });
    CountDownLatch opened = gate;
    CompletableFuture<Branch.Written> written =
        CompletableFuture.supplyAsync(
            () -> write(source, plan, opened), task -> Thread.ofVirtual().start(task));
    return new Branch(Duration.ofMillis(12), warning, written);
  }

  private Branch.Written write(WarmPlan source, BranchPlan plan, CountDownLatch opened) {
    try {
      if (!opened.await(20, TimeUnit.SECONDS)) {
        throw new AssertionError("nobody opened the gate");
      }
      copyFailure.ifPresent(why -> {
        throw why.thrown();
      });
      if (durable) {
        Files.writeString(plan.dir().resolve("pages.bin"), "pages of " + plan.tag());
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    long physical = plan.mode() == BranchMode.DIFF ? 4096 : 65_536;
    return new Branch.Written(
        engine.template(source), Duration.ofMillis(30), physical, 1 << 20, durable);
  }

  Template restore(RestorePlan plan) {
    failure.ifPresent(why -> {
      throw why.thrown();
    });
    if (!Files.exists(plan.chain().getLast().resolve("pages.bin"))) {
      throw new ForkdException(FailureKind.ENGINE, "pages.bin is gone");
    }
    restored.add(plan);
    return engine.template(
        new WarmPlan(
            plan.tag(),
            plan.image(),
            Optional.of(new Recipe.RuntimeSpec("python", "/usr/bin/python3")),
            NOTHING,
            plan.workdir(),
            plan.env(),
            plan.limits(),
            SystemCalls.NONE,
            Network.NONE));
  }
}
