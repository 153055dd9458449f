package dev.forkd.api;

import dev.forkd.model.Request;
import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceInfo;
import dev.forkd.service.Forkd;
import java.util.List;

/** {@code /v1/workspaces}. */
final class WorkspacesResource {
  private final Forkd forkd;

  WorkspacesResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.get("/v1/workspaces", this::list),
        Route.post("/v1/workspaces", this::create),
        Route.get("/v1/workspaces/{name}", call -> told(new Request.GetWorkspace(name(call)))),
        Route.delete("/v1/workspaces/{name}", this::delete),
        Route.post("/v1/workspaces/{name}/suspend", this::suspend),
        Route.post("/v1/workspaces/{name}/resume", this::resume));
  }

  private Reply told(Request<WorkspaceInfo> request) {
    return Reply.ok(Shapes.workspace(forkd.handle(request)));
  }

  private static Tag name(Call call) {
    return Tag.of("workspace name", call.parameter("name"));
  }

  private Reply list(Call call) {
    return Reply.ok(Shapes.list(forkd.handle(new Request.ListWorkspaces()), Shapes::workspace));
  }

  private Reply create(Call call) {
    Body body = call.body();
    Request.CreateWorkspace request =
        new Request.CreateWorkspace(
            Tag.of("workspace name", body.requireText("name")),
            Tag.of("snapshot_tag", body.requireText("snapshot_tag")),
            body.flag("per_child_netns", false),
            body.whole("memory_limit_mib"),
            call.cleared());
    return Reply.created(Shapes.workspace(forkd.handle(request)));
  }

  private Reply suspend(Call call) {
    Tag name = name(call);
    return told(new Request.Suspend(name, call.body().flag("diff", false)));
  }

  private Reply resume(Call call) {
    Tag name = name(call);
    boolean fresh = call.bodyOrNothing().flag("fresh", false);
    return told(new Request.Resume(name, fresh, call.cleared()));
  }

  private Reply delete(Call call) {
    forkd.handle(new Request.DeleteWorkspace(name(call)));
    return Reply.done();
  }
}
