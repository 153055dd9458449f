package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.image.RecipeParser;
import dev.forkd.json.Json;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.Request;
import dev.forkd.model.RootImage;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.Origin;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.node.ObjectNode;

/** Makes snapshots from recipes, and warms cold ones again. */
final class Creation implements Snapshots.Warmer {
  private static final Logger LOG = LoggerFactory.getLogger(Creation.class);
  private static final int MANIFEST_VERSION = 1;

  private final Parts parts;
  private final Warming warming;
  private final ImagesInUse images;

  Creation(Parts parts, Warming warming, ImagesInUse images) {
    this.parts = parts;
    this.warming = warming;
    this.images = images;
  }

  /** Recipe, image, warm-up, manifest, registry; a failure leaves what was there before. */
  SnapshotInfo create(
      Snapshots snapshots, Request.CreateSnapshot request, CreationListener listener) {
    Recipe recipe = RecipeParser.parse(request.recipeText(), request.baseDir());
    Tag tag = request.tag().orElseGet(() -> Tag.of("recipe name", recipe.name()));
    EngineName engine =
        request
            .engine()
            .or(recipe::engine)
            .orElseGet(() -> parts.defaultEngine(recipe.network().kind()));
    check(recipe, parts.engine(engine)); // what cannot be is told before a tag is reserved
    SnapshotRow row = row(tag, recipe, engine, request.marks());
    snapshots.begin(row, request.replace());
    try {
      return images.preparing(() -> {
        RootImage image = warming.prepare(recipe, engine, listener);
        commit(snapshots, row, warming.warm(row, recipe, image, listener));
        return snapshots.get(tag);
      });
    } catch (RuntimeException e) {
      abort(snapshots, tag, e);
      throw e;
    }
  }

  private static void check(Recipe recipe, Engine engine) {
    engine.check();
    if (!engine.networks().contains(recipe.network().kind())) {
      throw new ForkdException(
          FailureKind.UNSUPPORTED,
          ("recipe %s asks for the network %s, which engine %s has not here: only the network none"
                  + " can be had from a daemon that runs without root")
              .formatted(recipe.name(), recipe.network().kind().word(), engine.name().word()));
    }
  }

  private static void abort(Snapshots snapshots, Tag tag, RuntimeException reason) {
    try {
      snapshots.abort(tag, String.valueOf(reason.getMessage()));
    } catch (RuntimeException e) {
      reason.addSuppressed(e); // the next start takes back what is still being written
    }
  }

  private void commit(Snapshots snapshots, SnapshotRow row, Warming.Warmed warmed) {
    WarmTemplate template = warmed.template();
    try {
      SnapshotRow ready =
          row.warmed(warmed.digest(), warmed.millis(), template.template().report());
      parts.files().write(row.tag(), manifest(ready));
      snapshots.commit(ready, template);
    } catch (RuntimeException e) {
      template.retire();
      throw e;
    }
  }

  @Override
  public RootImage image(SnapshotRow row) {
    parts.engine(row.engine()); // a missing engine is told before an image is made
    return parts.images().find(row.imageDigest()).orElseGet(() -> prepareAgain(row));
  }

  private RootImage prepareAgain(SnapshotRow row) {
    LOG.warn("event=image_gone tag={} digest={}", row.tag(), row.imageDigest());
    try {
      return warming.prepare(recipe(row), row.engine(), CreationListener.SILENT);
    } catch (ForkdException e) {
      Failure failure = e.failure();
      // The recipe was valid once: it is not the request that is wrong.
      FailureKind kind =
          failure.kind() == FailureKind.INVALID ? FailureKind.CONFLICT : failure.kind();
      String message =
          "image %s of snapshot %s is gone or has changed, and cannot be made again: %s"
              .formatted(row.imageDigest(), row.tag(), failure.message());
      throw new Failure(kind, message, failure.detail()).thrown(e);
    }
  }

  @Override
  public Warming.Warmed warm(SnapshotRow row, RootImage image, List<Path> chain) {
    if (row.origin().branched()) {
      return warming.restore(row, recipe(row), image, chain);
    }
    return warming.warm(row, recipe(row), image, CreationListener.SILENT);
  }

  /** The recipe as it was when the snapshot was made, as far as that is known. */
  static Recipe recipe(SnapshotRow row) {
    return row.warmScript()
        .map(script -> RecipeParser.parseAgain(row.recipe(), row.baseDir(), script))
        .orElseGet(() -> RecipeParser.parse(row.recipe(), row.baseDir()));
  }

  private SnapshotRow row(Tag tag, Recipe recipe, EngineName engine, SnapshotMarks marks) {
    return new SnapshotRow(
        tag,
        parts.files().dir(tag),
        parts.unixSeconds(),
        SnapshotStatus.WRITING,
        recipe.source(),
        recipe.name(),
        Optional.of(recipe.warm().script()),
        recipe.baseDir(),
        engine,
        "",
        OptionalLong.empty(),
        "{}",
        "",
        Origin.RECIPE,
        marks);
  }

  private static ObjectNode manifest(SnapshotRow row) {
    return Json.object()
        .put("version", MANIFEST_VERSION)
        .put("id", UUID.randomUUID().toString()) // tells it from a later one of the same name
        .put("tag", row.tag().text())
        .put("created_at_unix", row.createdAtUnix())
        .put("engine", row.engine().word())
        .put("image_digest", row.imageDigest())
        .put("base_dir", row.baseDir().toString())
        .put("recipe", row.recipe());
  }
}
