package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.Tag;
import dev.forkd.service.Forkd;
import java.util.List;

/** Routes of the wire contract that no engine can serve yet: they check names, then say so. */
final class LaterResource {
  private final Forkd forkd;

  LaterResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.post("/v1/snapshots/{tag}/compact", this::compact),
        Route.post("/v1/sandboxes/{id}/branch", this::branch),
        Route.get("/v1/workspaces", call -> unsupported("workspaces")),
        Route.post("/v1/workspaces", this::createWorkspace),
        Route.get("/v1/workspaces/{name}", this::workspace),
        Route.delete("/v1/workspaces/{name}", this::workspace),
        Route.post("/v1/workspaces/{name}/suspend", this::workspace),
        Route.post("/v1/workspaces/{name}/resume", this::workspace));
  }

  private Reply compact(Call call) {
    forkd.handle(new Request.GetSnapshot(call.tag()));
    return unsupported("compacting a snapshot");
  }

  private Reply branch(Call call) {
    forkd.handle(new Request.GetSandbox(call.sandbox()));
    call.body().text("tag").ifPresent(tag -> Tag.of("tag", tag));
    return unsupported("branching a running sandbox");
  }

  private Reply createWorkspace(Call call) {
    Body body = call.body();
    Tag.of("workspace name", body.requireText("name"));
    forkd.handle(new Request.GetSnapshot(Tag.of("snapshot_tag", body.requireText("snapshot_tag"))));
    return unsupported("workspaces");
  }

  private Reply workspace(Call call) {
    Tag.of("workspace name", call.parameter("name"));
    return unsupported("workspaces");
  }

  private static Reply unsupported(String what) {
    throw new ForkdException(
        FailureKind.UNSUPPORTED,
        what
            + " needs an engine that can save a running sandbox; the process engine cannot. Warm"
            + " what you need in a recipe and fork that");
  }
}
