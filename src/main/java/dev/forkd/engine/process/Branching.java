package dev.forkd.engine.process;

import dev.forkd.agent.AgentConnection;
import dev.forkd.agent.HeldSession;
import dev.forkd.engine.Branch;
import dev.forkd.engine.BranchPlan;
import dev.forkd.engine.WarmPlan;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.json.Json;
import dev.forkd.model.BranchMode;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.JsonNode;

/**
 * Makes a template of a sandbox. The session freezes a copy of itself and rests while its files are
 * copied; then it goes on, and the launcher makes a zygote of the frozen copy. All modes are the
 * same but for one thing: LIVE does not wait for the end of that.
 */
final class Branching {
  private static final Logger LOG = LoggerFactory.getLogger(Branching.class);

  /** How much longer than the launcher itself we wait for it. */
  private static final Duration MARGIN = Duration.ofSeconds(10);

  private static final int TOLD_MAX = 4_000;

  private final Surroundings around;
  private final WarmPlan source;
  private final SandboxId id;

  /** For the sandbox {@code id}, which was forked from a template warmed by {@code source}. */
  Branching(Surroundings around, WarmPlan source, SandboxId id) {
    this.around = around;
    this.source = source;
    this.id = id;
  }

  Branch take(AgentConnection agent, BranchPlan plan) {
    Deadline deadline = Deadline.after(plan.deadline());
    HeldSession held = agent.hold(deadline.left());
    CompletableFuture<Duration> pause = new CompletableFuture<>();
    CompletableFuture<Branch.Written> written = new CompletableFuture<>();
    String warning;
    try {
      warning = check(held);
      Thread.ofVirtual()
          .name("branch-" + id)
          .start(() -> copy(plan, held, deadline, pause, written));
    } catch (ForkdException e) {
      held.close();
      throw e;
    }
    Duration still = await(pause, deadline);
    if (plan.mode() != BranchMode.LIVE) {
      await(written, deadline);
    }
    return new Branch(still, warning, written.minimalCompletionStage());
  }

  /** The warnings; throws what refuses. The session's word: bounded, and only shown. */
  private String check(HeldSession held) {
    JsonNode report;
    try {
      report = Json.parse(held.report());
    } catch (ForkdException e) {
      throw new Failure(FailureKind.ENGINE, about() + ": its session told nonsense").thrown(e);
    }
    List<String> refused = texts(report.path("refused"));
    if (held.copy() == 0 || !refused.isEmpty()) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          about()
              + ": what cannot be carried over is in use: "
              + cut(String.join("; ", refused))
              + ". End or close it in the sandbox and branch again");
    }
    return cut(String.join("; ", texts(report.path("warnings"))));
  }

  private static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    for (JsonNode item : list) {
      texts.add(item.asString("").replaceAll("\\p{Cntrl}", " "));
    }
    return texts;
  }

  private static String cut(String text) {
    return text.length() <= TOLD_MAX ? text : text.substring(0, TOLD_MAX) + "…";
  }

  /** The whole of it, on a thread of its own. Ends both futures and the session's rest. */
  private void copy(
      BranchPlan plan,
      HeldSession held,
      Deadline deadline,
      CompletableFuture<Duration> pause,
      CompletableFuture<Branch.Written> written) {
    long start = System.nanoTime();
    String name = around.names().next(plan.tag());
    Fate fate = around.family().addTemplate(name, "the template of branch " + plan.tag(), 0);
    try (held) {
      Fields ready =
          around
              .launcher()
              .call(
                  FrameType.L_BRANCH,
                  TemplateFields.branch(id, name, held.copy(), deadline.left()),
                  deadline.left().plus(MARGIN),
                  about(),
                  _ -> release(held, pause));
      release(held, pause);
      written.complete(written(plan, name, fate, ready, System.nanoTime() - start));
    } catch (ForkdException e) {
      discard(name);
      around.family().removeTemplate(name);
      pause.completeExceptionally(e);
      written.completeExceptionally(e);
    }
  }

  /** The files are copied: the session may go on. */
  private static void release(HeldSession held, CompletableFuture<Duration> pause) {
    if (!pause.isDone()) {
      held.close();
      pause.complete(held.still());
    }
  }

  private Branch.Written written(
      BranchPlan plan, String name, Fate fate, Fields ready, long nanos) {
    String report = ready.text(FieldKey.REPORT);
    long copied = ready.integer(FieldKey.BYTES, 0, 0, Long.MAX_VALUE);
    long resident = ready.integer(FieldKey.RESIDENT_BYTES, 0, 0, Long.MAX_VALUE);
    LOG.info(
        "event=branched sandbox={} template={} millis={} copied={} resident={}",
        id,
        name,
        nanos / 1_000_000,
        copied,
        resident);
    ProcessTemplate template =
        new ProcessTemplate(
            name, source.as(plan.tag()), around, fate, report.isEmpty() ? "{}" : report, () -> {});
    return new Branch.Written(template, Duration.ofNanos(nanos), copied, resident, false);
  }

  /** After a deadline of ours the launcher may still be at it. */
  private void discard(String name) {
    try {
      Fields fields = Fields.builder().text(FieldKey.NAME, name).build();
      around.launcher().end(FrameType.L_DISCARD, fields, "ending template " + name);
    } catch (ForkdException e) {
      LOG.debug("event=discard_refused template={} error=\"{}\"", name, e.getMessage());
    }
  }

  private <T> T await(CompletableFuture<T> future, Deadline deadline) {
    try {
      return future.get(
          deadline.left().plus(MARGIN.multipliedBy(2)).toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException | InterruptedException e) {
      throw new Failure(FailureKind.TIMEOUT, about() + ": not done within its deadline").thrown(e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof ForkdException failure
          ? failure
          : new Failure(FailureKind.INTERNAL, about() + ": " + e.getCause()).thrown(e);
    }
  }

  private String about() {
    return "branching sandbox " + id;
  }
}
