package dev.forkd.api;

import dev.forkd.model.BranchMode;
import dev.forkd.model.Request;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.service.Forkd;
import java.util.List;

/** Snapshots of running sandboxes, and of snapshots. */
final class BranchesResource {
  private final Forkd forkd;

  BranchesResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.post("/v1/sandboxes/{id}/branch", this::branch),
        Route.post("/v1/snapshots/{tag}/compact", this::compact));
  }

  // A bad field is told before an unknown sandbox here: clients know it that way.
  private Reply branch(Call call) {
    Body body = call.body();
    Request.BranchFlags flags =
        new Request.BranchFlags(
            body.flag("diff", false), body.flag("live", false), body.flag("measure_diff", false));
    var tag = body.text("tag").map(text -> Tag.of("tag", text));
    var mode = body.text("mode").map(BranchesResource::mode);
    var parent = body.text("parent_tag").map(text -> Tag.of("parent_tag", text));
    boolean await = body.flag("wait", true);
    SnapshotInfo info =
        forkd.handle(new Request.Branch(call.sandbox(), tag, mode, flags, await, parent));
    int status = info.status() == SnapshotStatus.WRITING ? 202 : 201;
    return new Reply.Document(status, Shapes.snapshot(info));
  }

  private static BranchMode mode(String word) {
    for (BranchMode mode : BranchMode.values()) {
      if (mode.word().equals(word)) {
        return mode;
      }
    }
    String shown = word.length() <= 64 ? word : word.substring(0, 64);
    throw Body.invalid("field `mode` is \"" + shown + "\"; it must be full, diff or live");
  }

  private Reply compact(Call call) {
    Tag from = Tag.of("source tag", call.parameter("tag"));
    Tag to = Tag.of("to tag", call.body().requireText("to"));
    return Reply.ok(Shapes.snapshot(forkd.handle(new Request.Compact(from, to))));
  }
}
