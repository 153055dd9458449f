package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.Request;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.StartedProgram;
import dev.forkd.service.Forkd;
import java.time.Duration;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/** A running program as events. Whoever hangs up ends it. */
final class ProgramEvents implements Reply.Source {
  /** How long a silent program goes before its client is looked for. */
  static final Duration PROBE_EVERY = Duration.ofSeconds(1);

  private final Forkd forkd;
  private final Request.Run request;

  ProgramEvents(Forkd forkd, Request.Run request) {
    this.forkd = forkd;
    this.request = request;
  }

  @Override
  public void run(EventSink sink) {
    try (StartedProgram started = forkd.handle(request)) {
      sink.send(started(started));
      pump(started.program(), sink);
    }
  }

  /** The first event. */
  static ObjectNode started(StartedProgram started) {
    return Json.object()
        .put("event", "started")
        .put("program", started.name())
        .put("pid", started.program().pid())
        .put("warm", started.warm());
  }

  private static void pump(RunningProgram program, EventSink sink) {
    OutputText stdout = new OutputText("stdout");
    OutputText stderr = new OutputText("stderr");
    while (true) {
      switch (next(program, sink)) {
        case ProgramEvent.Output(var stream, var bytes) ->
            (stream == 2 ? stderr : stdout).event(bytes).ifPresent(sink::send);
        case ProgramEvent.Exited(var status) -> {
          stdout.rest().ifPresent(sink::send);
          stderr.rest().ifPresent(sink::send);
          sink.send(exit(status));
          return;
        }
      }
    }
  }

  // The program's own timeout bounds this loop: the agent ends it, or the guest's end is told.
  private static ProgramEvent next(RunningProgram program, EventSink sink) {
    while (true) {
      Optional<ProgramEvent> event = program.poll(PROBE_EVERY);
      if (event.isPresent()) {
        return event.get();
      }
      sink.probe();
    }
  }

  /** The last event. */
  static ObjectNode exit(ExitStatus status) {
    ObjectNode event = Json.object().put("event", "exit").put("exit_code", status.exitCode());
    if (status.signal() == 0) {
      event.putNull("signal");
    } else {
      event.put("signal", status.signal());
    }
    return event
        .put("timed_out", status.timedOut())
        .put("out_of_memory", status.outOfMemory())
        .put("duration_ms", Shapes.millis(status.duration()));
  }
}
