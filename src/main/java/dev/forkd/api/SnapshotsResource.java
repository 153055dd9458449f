package dev.forkd.api;

import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SnapshotFilter;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.service.Forkd;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** {@code /v1/snapshots}. */
final class SnapshotsResource {
  private final Forkd forkd;

  SnapshotsResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    return List.of(
        Route.get("/v1/snapshots", this::list),
        Route.post("/v1/snapshots", this::create),
        Route.get("/v1/snapshots/{tag}/info", this::info),
        Route.delete("/v1/snapshots/{tag}", this::delete));
  }

  private Reply list(Call call) {
    List<SnapshotInfo> all = forkd.handle(new Request.ListSnapshots());
    return Reply.ok(Shapes.list(filter(call).of(all), Shapes::snapshot));
  }

  private static SnapshotFilter filter(Call call) {
    String status = call.text("status");
    return new SnapshotFilter(
        status.isEmpty() ? Optional.empty() : Optional.of(status(status)),
        call.labels(),
        call.text("recipe"),
        call.text("after"),
        call.number("limit", 0));
  }

  private static SnapshotStatus status(String word) {
    return Arrays.stream(SnapshotStatus.values())
        .filter(status -> status.word().equals(word))
        .findFirst()
        .orElseThrow(
            () -> Body.invalid("query parameter `status` must be writing, ready or failed"));
  }

  private Reply info(Call call) {
    return Reply.ok(Shapes.detail(forkd.handle(new Request.DescribeSnapshot(call.tag()))));
  }

  private Reply delete(Call call) {
    forkd.handle(new Request.DeleteSnapshot(call.tag(), call.flag("cascade"), call.flag("force")));
    return Reply.done();
  }

  private Reply create(Call call) {
    Request.CreateSnapshot request = request(call.body());
    return call.wantsEvents()
        ? new Reply.Events(new CreationEvents(forkd, request))
        : Reply.created(Shapes.snapshot(forkd.handle(request)));
  }

  private static Request.CreateSnapshot request(Body body) {
    var tag = body.text("tag").map(text -> Tag.of("tag", text));
    if (!body.has("recipe") && (body.has("kernel") || body.has("rootfs"))) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          "snapshots are made from a recipe here, not from a kernel and a rootfs: send `recipe`"
              + " (YAML text, see docs/recipes.md), or use `forkd snapshot RECIPE`");
    }
    return new Request.CreateSnapshot(
        tag,
        body.requireText("recipe"),
        directory(body.text("recipe_dir").orElse("/")),
        body.text("engine").filter(name -> !name.equals("auto")).map(EngineName::of),
        body.flag("replace", false),
        new SnapshotMarks(body.texts("labels"), body.flag("secrets", false)));
  }

  private static Path directory(String text) {
    try {
      Path path = Path.of(text);
      if (path.isAbsolute()) {
        return path.normalize();
      }
      throw Body.invalid("field `recipe_dir` must be an absolute path");
    } catch (InvalidPathException e) {
      throw Body.invalid("field `recipe_dir` is not a path: " + e.getReason());
    }
  }
}
