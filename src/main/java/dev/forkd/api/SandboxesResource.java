package dev.forkd.api;

import dev.forkd.model.Request;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxOptions;
import dev.forkd.model.Tag;
import dev.forkd.service.Forkd;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** {@code /v1/sandboxes}: fork, look, destroy, ping, eval. */
final class SandboxesResource {
  private static final int DEFAULT_N = 1;

  private final Forkd forkd;
  private final Replays replays;

  SandboxesResource(Forkd forkd, Replays replays) {
    this.forkd = forkd;
    this.replays = replays;
  }

  List<Route> routes() {
    return List.of(
        Route.get("/v1/sandboxes", this::list),
        Route.post("/v1/sandboxes", call -> replays.once(call, () -> fork(call))),
        Route.get("/v1/sandboxes/{id}", this::get),
        Route.delete("/v1/sandboxes/{id}", this::destroy),
        Route.post("/v1/sandboxes/{id}/renew", this::renew),
        Route.post("/v1/sandboxes/{id}/wait", this::await),
        Route.post("/v1/sandboxes/{id}/ping", this::ping),
        Route.post("/v1/sandboxes/{id}/eval", this::eval));
  }

  private Reply list(Call call) {
    Request.ListSandboxes request = new Request.ListSandboxes(filter(call));
    return Reply.ok(Shapes.list(forkd.handle(request), Shapes::sandbox));
  }

  private static SandboxFilter filter(Call call) {
    String tag = call.text("tag");
    return new SandboxFilter(
        call.flag("all"),
        tag.isEmpty() ? Optional.empty() : Optional.of(Tag.of("tag", tag)),
        call.text("name"),
        call.labels(),
        call.text("after"),
        call.number("limit", 0));
  }

  private Reply fork(Call call) {
    Body body = call.body();
    String tag = body.requireText("snapshot_tag");
    int n = (int) Math.min(body.whole("n").orElse(DEFAULT_N), Integer.MAX_VALUE);
    var memory = body.whole("memory_limit_mib");
    // Told before a malformed tag, as it always was.
    Request.Fork.checkN(n);
    SandboxOptions options =
        new SandboxOptions(
            body.text("name").orElse(""),
            body.texts("labels"),
            body.seconds("ttl_secs").orElse(Duration.ZERO),
            body.seconds("idle_timeout_secs").orElse(Duration.ZERO));
    boolean netns = body.flag("per_child_netns", false);
    Request.Fork request =
        new Request.Fork(Tag.of("snapshot_tag", tag), n, memory, options, netns, call.cleared());
    return Reply.created(Shapes.list(forkd.handle(request), Shapes::sandbox));
  }

  private Reply renew(Call call) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    Body body = call.bodyOrNothing();
    Request.Renew request =
        new Request.Renew(id, body.seconds("ttl_secs"), body.seconds("idle_timeout_secs"));
    return Reply.ok(Shapes.sandbox(forkd.handle(request)));
  }

  private Reply await(Call call) {
    SandboxId id = call.sandbox();
    forkd.handle(new Request.GetSandbox(id)); // an unknown sandbox is told before a bad body
    Body body = call.bodyOrNothing();
    boolean ended =
        switch (body.text("state").orElse("ready")) {
          case "ready" -> false;
          case "ended" -> true;
          default -> throw Body.invalid("field `state` must be \"ready\" or \"ended\"");
        };
    Request.AwaitSandbox request = new Request.AwaitSandbox(id, ended, ProgramBody.timeout(body));
    return Reply.ok(Shapes.sandbox(forkd.handle(request)));
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
