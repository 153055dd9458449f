package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.Survivor;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.image.ImageListener;
import dev.forkd.model.EngineName;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.model.Tag;
import dev.forkd.service.CreationListener.Phase;
import dev.forkd.store.SandboxRow;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** From a recipe to a live template: image, runtime, warm-up. */
final class Warming {
  private static final Logger LOG = LoggerFactory.getLogger(Warming.class);

  private final Parts parts;
  private final Forks forks;
  private final ImagesInUse images;

  Warming(Parts parts, Forks forks, ImagesInUse images) {
    this.parts = parts;
    this.forks = forks;
    this.images = images;
  }

  /**
   * What a warm-up gave.
   *
   * @param template live, with an empty pool
   * @param digest of its image
   * @param millis of the warm-up without the image
   */
  record Warmed(WarmTemplate template, String digest, long millis) {}

  /** What the recipe asks for now, made if need be. */
  RootImage prepare(Recipe recipe, EngineName engine, CreationListener listener) {
    listener.progress(Phase.IMAGE, "preparing the root file system of recipe " + recipe.name());
    Recipe suited = parts.engine(engine).sharesHostRoot() ? recipe : recipe.withoutHostRoot();
    return parts.images().prepare(suited, hearing(listener));
  }

  /** Warms the recipe on that image; nothing is left when it throws. */
  Warmed warm(SnapshotRow row, Recipe recipe, RootImage image, CreationListener listener) {
    Tag tag = row.tag();
    EngineName engineName = row.engine();
    Engine engine = parts.engine(engineName);
    listener.progress(Phase.WARM, "warming " + tag + " in the " + engineName.word() + " engine");
    long began = System.nanoTime();
    Template template = engine.warm(plan(tag, recipe, image), listener::log);
    long millis = Durations.millisSince(began);
    LOG.info("event=template_warm tag={} engine={} ms={}", tag, engineName.word(), millis);
    WarmTemplate warm = live(tag, engineName, recipe, template, base(row, image));
    return new Warmed(warm, image.digest(), millis);
  }

  /** A template that an earlier daemon left, with an empty pool. */
  WarmTemplate adopt(SnapshotRow row, Recipe recipe, RootImage image, Survivor survivor) {
    Template template = parts.engine(row.engine()).adopt(survivor, plan(row.tag(), recipe, image));
    return live(row.tag(), row.engine(), recipe, template, base(row, image));
  }

  private static WarmTemplate.Base base(SnapshotRow row, RootImage image) {
    return WarmTemplate.Base.image(image.digest(), row.marks().secrets());
  }

  /** Makes a branch live again from its files; nothing is left when it throws. */
  Warmed restore(SnapshotRow row, Recipe recipe, RootImage image, List<Path> chain) {
    long began = System.nanoTime();
    RestorePlan plan =
        new RestorePlan(row.tag(), chain, image, recipe.workdir(), recipe.env(), recipe.limits());
    Template template = parts.engine(row.engine()).restore(plan);
    long millis = Durations.millisSince(began);
    LOG.info(
        "event=template_restored tag={} engine={} depth={} ms={}",
        row.tag(),
        row.engine().word(),
        chain.size() - 1,
        millis);
    WarmTemplate warm = live(row.tag(), row.engine(), recipe, template, base(row, image));
    return new Warmed(warm, image.digest(), millis);
  }

  /** A template with an empty pool. */
  WarmTemplate live(
      Tag tag, EngineName engine, Recipe recipe, Template template, WarmTemplate.Base base) {
    Pool.Source source =
        n -> forks.fork(tag, engine, template, n, recipe.limits(), SandboxRow.State.PARKED);
    Pool pool = new Pool(tag, recipe.pool(), source, template::room, forks);
    return new WarmTemplate(recipe, template, pool, base, images.hold(base.imageDigest()));
  }

  private static WarmPlan plan(Tag tag, Recipe recipe, RootImage image) {
    return new WarmPlan(
        tag,
        image,
        recipe.runtime(),
        recipe.warm(),
        recipe.workdir(),
        recipe.env(),
        recipe.limits(),
        recipe.syscalls(),
        recipe.network().kind());
  }

  private static ImageListener hearing(CreationListener listener) {
    return new ImageListener() {
      @Override
      public void progress(String message) {
        listener.progress(Phase.IMAGE, message);
      }

      @Override
      public void log(String line) {
        listener.log(line);
      }
    };
  }
}
