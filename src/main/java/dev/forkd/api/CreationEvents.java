package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Request;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.service.CreationListener;
import dev.forkd.service.Forkd;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * The making of a snapshot as events. The work runs on a thread of its own and never waits for the
 * client: what a slow one leaves no room for is dropped and counted, and when it hangs up the
 * snapshot is made all the same.
 */
final class CreationEvents implements Reply.Source {
  private static final int MAX_WAITING = 4096;
  private static final long POLL_MILLIS = 1_000;

  /** Tells the poll to look again; never sent. */
  private static final ObjectNode WAKE = Json.object();

  private final Forkd forkd;
  private final Request.CreateSnapshot request;
  private final BlockingQueue<ObjectNode> waiting = new ArrayBlockingQueue<>(MAX_WAITING);
  private final AtomicLong dropped = new AtomicLong();

  CreationEvents(Forkd forkd, Request.CreateSnapshot request) {
    this.forkd = forkd;
    this.request = request;
  }

  @Override
  public void run(EventSink sink) {
    CompletableFuture<SnapshotInfo> work = new CompletableFuture<>();
    Thread.ofVirtual().name("create-snapshot").start(() -> create(work));
    try {
      while (!work.isDone() || !waiting.isEmpty()) {
        forward(waiting.poll(work.isDone() ? 0 : POLL_MILLIS, TimeUnit.MILLISECONDS), sink);
      }
      sink.send(last(work.get()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.UNAVAILABLE, "the daemon is stopping").thrown(e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e);
    }
  }

  private void forward(@Nullable ObjectNode event, EventSink sink) {
    if (event != null && !event.isEmpty()) {
      sink.send(event);
    }
    long lost = dropped.getAndSet(0);
    if (lost > 0) {
      sink.send(log("(" + lost + " lines were dropped: they came faster than they were read)"));
    }
  }

  private void create(CompletableFuture<SnapshotInfo> work) {
    try {
      work.complete(forkd.create(request, listener()));
    } catch (RuntimeException e) {
      work.completeExceptionally(e);
    } finally {
      offer(WAKE);
    }
  }

  private CreationListener listener() {
    return new CreationListener() {
      @Override
      public void progress(Phase phase, String message) {
        offer(
            Json.object()
                .put("event", "progress")
                .put("phase", phase.word())
                .put("message", message));
      }

      @Override
      public void log(String line) {
        offer(CreationEvents.log(line));
      }
    };
  }

  private void offer(ObjectNode event) {
    if (!waiting.offer(event)) {
      dropped.incrementAndGet();
    }
  }

  private static ObjectNode log(String line) {
    return Json.object().put("event", "log").put("line", line);
  }

  private static ObjectNode last(SnapshotInfo info) {
    ObjectNode event = Json.object().put("event", "snapshot");
    event.set("snapshot", Shapes.snapshot(info));
    return event;
  }
}
