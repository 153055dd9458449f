package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.engine.Template;
import dev.forkd.engine.WarmPlan;
import dev.forkd.image.ImageListener;
import dev.forkd.model.EngineName;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.model.Tag;
import dev.forkd.service.CreationListener.Phase;
import dev.forkd.store.SandboxRow;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** From a recipe to a live template: image, runtime, warm-up. */
final class Warming {
  private static final Logger LOG = LoggerFactory.getLogger(Warming.class);

  private final Parts parts;
  private final Forks forks;

  Warming(Parts parts, Forks forks) {
    this.parts = parts;
    this.forks = forks;
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
  RootImage prepare(Recipe recipe, CreationListener listener) {
    listener.progress(Phase.IMAGE, "preparing the root file system of recipe " + recipe.name());
    return parts.images().prepare(recipe, hearing(listener));
  }

  /** Warms the recipe on that image; nothing is left when it throws. */
  Warmed warm(
      Tag tag, Recipe recipe, RootImage image, EngineName engineName, CreationListener listener) {
    Engine engine = parts.engine(engineName);
    listener.progress(Phase.WARM, "warming " + tag + " in the " + engineName.word() + " engine");
    long began = System.nanoTime();
    Template template = engine.warm(plan(tag, recipe, image), listener::log);
    long millis = Durations.millisSince(began);
    LOG.info("event=template_warm tag={} engine={} ms={}", tag, engineName.word(), millis);
    Pool.Source source =
        n -> forks.fork(tag, engineName, template, n, recipe.limits(), SandboxRow.State.PARKED);
    Pool pool = new Pool(tag, recipe.pool(), source, forks);
    return new Warmed(new WarmTemplate(recipe, template, pool), image.digest(), millis);
  }

  private static WarmPlan plan(Tag tag, Recipe recipe, RootImage image) {
    return new WarmPlan(
        tag,
        image,
        recipe.runtime(),
        recipe.warm(),
        recipe.workdir(),
        recipe.env(),
        recipe.limits());
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
