package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.DetachedOutput;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.Request;
import dev.forkd.service.Forkd;
import java.time.Duration;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * The output of a detached program as events, from a position on. Each output event tells the
 * position behind it: whoever loses the connection asks for the rest from there. Hanging up changes
 * nothing.
 */
final class DetachedEvents implements Reply.Source {
  private final Forkd forkd;
  private final Request.GetDetached program;
  private final boolean follow;
  private final Stream stdout = new Stream("stdout");
  private final Stream stderr = new Stream("stderr");
  private long position;

  /** One output, and where the bytes of it begin that were read and not told yet. */
  private static final class Stream {
    private static final long NOWHERE = Long.MAX_VALUE;

    private final OutputText text;
    private long untold = NOWHERE;

    Stream(String name) {
      text = new OutputText(name);
    }

    /** The event for bytes whose end is at that position. */
    Optional<ObjectNode> event(byte[] bytes, long end) {
      boolean held = text.held() > 0;
      Optional<ObjectNode> event = text.event(bytes);
      if (text.held() == 0) {
        untold = NOWHERE;
      } else if (event.isPresent() || !held) {
        untold = end - text.held();
      }
      return event;
    }

    Optional<ObjectNode> rest() {
      untold = NOWHERE;
      return text.rest();
    }
  }

  DetachedEvents(Forkd forkd, Request.GetDetached program, long from, boolean follow) {
    this.forkd = forkd;
    this.program = program;
    this.position = from;
    this.follow = follow;
  }

  @Override
  public void run(EventSink sink) {
    sink.send(Shapes.program(forkd.handle(program)).put("event", "started"));
    while (true) {
      Optional<DetachedOutput> next = next();
      if (next.isPresent() && !tell(next.get(), sink)) {
        return;
      }
      if (next.isEmpty()) {
        if (!follow) {
          return;
        }
        sink.probe();
      }
    }
  }

  private Optional<DetachedOutput> next() {
    Duration patience = follow ? ProgramEvents.PROBE_EVERY : Duration.ZERO;
    return forkd.handle(
        new Request.ReadDetached(program.id(), program.program(), position, patience));
  }

  /** False after the last event. */
  private boolean tell(DetachedOutput output, EventSink sink) {
    return switch (output) {
      case DetachedOutput.Chunk chunk -> {
        tell(chunk, sink);
        yield true;
      }
      case DetachedOutput.Ended(var end) -> {
        rest(sink);
        sink.send(ended(end));
        yield false;
      }
    };
  }

  private void tell(DetachedOutput.Chunk chunk, EventSink sink) {
    if (chunk.at() > position) {
      sink.send(Json.object().put("event", "lost").put("bytes", chunk.at() - position));
    }
    position = chunk.at() + chunk.bytes().length;
    Stream stream = chunk.stream() == 2 ? stderr : stdout;
    stream.event(chunk.bytes(), position).ifPresent(event -> send(event, sink));
  }

  private void rest(EventSink sink) {
    stdout.rest().ifPresent(event -> send(event, sink));
    stderr.rest().ifPresent(event -> send(event, sink));
  }

  // Half a character that was read is told again to who comes back.
  private void send(ObjectNode event, EventSink sink) {
    sink.send(event.put("offset", Math.min(position, Math.min(stdout.untold, stderr.untold))));
  }

  private static ObjectNode ended(DetachedProgram.End end) {
    return switch (end) {
      case DetachedProgram.End.Exited(var status) -> ProgramEvents.exit(status);
      case DetachedProgram.End.Lost(var failure) -> Shapes.failureEvent(failure);
    };
  }
}
