package dev.forkd.api;

import dev.forkd.model.Request;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.service.Forkd;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.function.Function;

/** Programs in a sandbox: exec, call, and the input and signals of streamed ones. */
final class ProgramsResource {
  private static final int CHUNK = 64 << 10;

  private final Forkd forkd;

  ProgramsResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.post("/v1/sandboxes/{id}/exec", call -> run(call, ProgramBody::exec)),
        Route.get(Door.TEMPLATE, call -> notUpgraded()),
        Route.post("/v1/sandboxes/{id}/call", call -> run(call, ProgramBody::call)),
        Route.post("/v1/sandboxes/{id}/programs/{program}/stdin", this::input),
        Route.post("/v1/sandboxes/{id}/programs/{program}/signal", this::signal),
        Route.post("/v1/sandboxes/{id}/programs/{program}/resize", this::resize));
  }

  private Reply run(Call call, Function<Body, ProgramBody> reading) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    ProgramBody program = reading.apply(call.body());
    return program.stream()
        ? new Reply.Events(new ProgramEvents(forkd, program.streamed(id)))
        : Reply.ok(Shapes.completed(forkd.handle(program.toEnd(id))));
  }

  private static Reply notUpgraded() {
    throw Body.invalid("this is a WebSocket: ask for it with `Upgrade: websocket`, version 13");
  }

  private Reply input(Call call) {
    RunningProgram program = find(call);
    try (InputStream in = call.content()) {
      byte[] chunk = new byte[CHUNK];
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        program.write(chunk, 0, n);
      }
    } catch (IOException e) {
      // A broken upload is not the end of the input: the program's stdin stays open.
      throw new UncheckedIOException(e);
    }
    program.closeInput();
    return Reply.done();
  }

  private Reply signal(Call call) {
    RunningProgram program = find(call);
    program.signal(ProgramBody.signal(call.body()));
    return Reply.done();
  }

  private Reply resize(Call call) {
    RunningProgram program = find(call);
    program.resize(ProgramBody.terminalSize(call.body()));
    return Reply.done();
  }

  private RunningProgram find(Call call) {
    return forkd.handle(new Request.FindProgram(call.sandbox(), call.parameter("program")));
  }
}
