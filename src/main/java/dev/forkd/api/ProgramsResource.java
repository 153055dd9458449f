package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Request;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.service.Forkd;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.function.Function;
import tools.jackson.databind.node.ArrayNode;

/** Programs in a sandbox: exec, call, and the input and signals of streamed ones. */
final class ProgramsResource {
  private static final int CHUNK = 64 << 10;
  private static final String PROGRAM = "/v1/sandboxes/{id}/programs/{program}";

  private final Forkd forkd;

  ProgramsResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.post("/v1/sandboxes/{id}/exec", call -> run(call, ProgramBody::exec)),
        Route.get(Door.TEMPLATE, call -> notUpgraded()),
        Route.post("/v1/sandboxes/{id}/call", call -> run(call, ProgramBody::call)),
        Route.get("/v1/sandboxes/{id}/programs", this::list),
        Route.get(PROGRAM, this::get),
        Route.delete(PROGRAM, this::end),
        Route.get(PROGRAM + "/output", this::output),
        Route.post(PROGRAM + "/stdin", this::input),
        Route.post(PROGRAM + "/signal", this::signal),
        Route.post(PROGRAM + "/resize", this::resize));
  }

  private Reply run(Call call, Function<Body, ProgramBody> reading) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    ProgramBody program = reading.apply(call.body());
    if (program.detach()) {
      return Reply.created(Shapes.program(forkd.handle(program.detached(id))));
    }
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
    if (!"false".equals(call.text("eof"))) {
      program.closeInput();
    }
    return Reply.done();
  }

  private Reply list(Call call) {
    ArrayNode programs = Json.array();
    forkd
        .handle(new Request.ListDetached(call.sandbox()))
        .forEach(program -> programs.add(Shapes.program(program)));
    return Reply.ok(programs);
  }

  private Reply get(Call call) {
    return Reply.ok(Shapes.program(forkd.handle(detached(call))));
  }

  private Reply end(Call call) {
    forkd.handle(new Request.EndDetached(call.sandbox(), call.parameter("program")));
    return Reply.done();
  }

  private Reply output(Call call) {
    Request.GetDetached program = detached(call);
    forkd.handle(program); // an unknown one is told as a status
    return new Reply.Events(
        new DetachedEvents(forkd, program, call.position("offset"), call.flag("follow")));
  }

  private static Request.GetDetached detached(Call call) {
    return new Request.GetDetached(call.sandbox(), call.parameter("program"));
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
