package dev.forkd.api;

import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import dev.forkd.service.Forkd;
import java.time.Duration;
import java.util.List;

/** {@code /v1/sandboxes}: fork, look, destroy, ping, eval. */
final class SandboxesResource {
  private static final int DEFAULT_N = 1;

  private final Forkd forkd;

  SandboxesResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.get("/v1/sandboxes", this::list),
        Route.post("/v1/sandboxes", this::fork),
        Route.get("/v1/sandboxes/{id}", this::get),
        Route.delete("/v1/sandboxes/{id}", this::destroy),
        Route.post("/v1/sandboxes/{id}/ping", this::ping),
        Route.post("/v1/sandboxes/{id}/eval", this::eval));
  }

  private Reply list(Call call) {
    Request.ListSandboxes request = new Request.ListSandboxes(call.flag("all"));
    return Reply.ok(Shapes.list(forkd.handle(request), Shapes::sandbox));
  }

  private Reply fork(Call call) {
    Body body = call.body();
    String tag = body.requireText("snapshot_tag");
    int n = (int) Math.min(body.whole("n").orElse(DEFAULT_N), Integer.MAX_VALUE);
    var memory = body.whole("memory_limit_mib");
    // Told before a malformed tag, as it always was.
    Request.Fork.checkN(n);
    Request.Fork request = new Request.Fork(Tag.of("snapshot_tag", tag), n, memory);
    return Reply.created(Shapes.list(forkd.handle(request), Shapes::sandbox));
  }

  private Reply get(Call call) {
    return Reply.ok(Shapes.sandbox(forkd.handle(new Request.GetSandbox(call.sandbox()))));
  }

  private Reply destroy(Call call) {
    forkd.handle(new Request.Destroy(call.sandbox()));
    return Reply.done();
  }

  private Reply ping(Call call) {
    return Reply.ok(Shapes.pong(forkd.handle(new Request.Ping(call.sandbox()))));
  }

  private Reply eval(Call call) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    Body body = call.body();
    Duration timeout = ProgramBody.timeout(body);
    return Reply.ok(
        Shapes.eval(forkd.handle(new Request.Eval(id, body.requireText("code"), timeout))));
  }
}
