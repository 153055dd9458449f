package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.LoggedEvent;
import dev.forkd.model.Request;
import dev.forkd.service.Forkd;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Semaphore;

/**
 * {@code /v1/events}: the last events as a list, or, for {@code Accept: text/event-stream}, every
 * event as it happens. A stream reads the log behind its own number: nothing is queued for it, and
 * {@code Last-Event-ID} takes it up where it broke off.
 */
final class EventsResource {
  /** Streams at once. */
  static final int MAX_STREAMS = 256;

  private static final Duration PROBE_EVERY = Duration.ofSeconds(5);

  private final Forkd forkd;
  private final Semaphore streams = new Semaphore(MAX_STREAMS);

  EventsResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(Route.get("/v1/events", this::events));
  }

  private Reply events(Call call) {
    if (!call.accepts("text/event-stream")) {
      Request.ListEvents request =
          new Request.ListEvents(call.number("limit", 100), call.text("subject"));
      return Reply.ok(Shapes.list(forkd.handle(request), Shapes::event));
    }
    long after = after(call);
    return new Reply.Content("text/event-stream", out -> follow(after, out));
  }

  private static long after(Call call) {
    String last = call.header("last-event-id");
    String wanted = last.isEmpty() ? call.text("after") : last;
    if (wanted.isEmpty()) {
      return -1;
    }
    if (!wanted.matches("[0-9]{1,18}")) {
      throw Body.invalid("Last-Event-ID (or `after`) must be the number of an event");
    }
    return Long.parseLong(wanted);
  }

  private void follow(long after, OutputStream out) throws IOException {
    if (!streams.tryAcquire()) {
      throw new ForkdException(
          FailureKind.EXHAUSTED, MAX_STREAMS + " event streams are open already; close some");
    }
    try {
      stream(after, out);
    } finally {
      streams.release();
    }
  }

  // Ends with the daemon, which interrupts it, or with the client, whom a write finds gone.
  private void stream(long after, OutputStream out) throws IOException {
    long seen = after < 0 ? forkd.newestEvent() : after;
    write(out, ": forkd events after " + seen + "\n\n");
    while (!Thread.currentThread().isInterrupted()) {
      List<LoggedEvent> events = forkd.handle(new Request.FollowEvents(seen, PROBE_EVERY));
      if (events.isEmpty()) {
        write(out, ":\n\n");
      } else {
        seen = send(seen, events, out);
      }
    }
  }

  private static long send(long seen, List<LoggedEvent> events, OutputStream out)
      throws IOException {
    StringBuilder text = new StringBuilder();
    long first = events.getFirst().number();
    if (seen > 0 && first > seen + 1) {
      // The log keeps the last events only: what it has forgotten is told as a gap, not hidden.
      text.append("event: gap\ndata: {\"missed\":").append(first - seen - 1).append("}\n\n");
    }
    for (LoggedEvent each : events) {
      text.append("id: ").append(each.number());
      text.append("\nevent: ").append(each.event().kind());
      text.append("\ndata: ").append(Json.text(Shapes.event(each))).append("\n\n");
    }
    write(out, text.toString());
    return events.getLast().number();
  }

  private static void write(OutputStream out, String text) throws IOException {
    out.write(text.getBytes(StandardCharsets.UTF_8));
    out.flush();
  }
}
