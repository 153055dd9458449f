package dev.forkd.service;

import dev.forkd.engine.Template;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A live template with everybody who needs it: forks in flight and the sandboxes made from it.
 * Closing a template ends its sandboxes, so a retired one is closed by whoever leaves last.
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
final class WarmTemplate {
  private static final Logger LOG = LoggerFactory.getLogger(WarmTemplate.class);

  private final Recipe recipe;
  private final Template template;
  private final Pool pool;
  private final Base base;
  private int users;
  private boolean retired;
  private boolean closed;
  private final ImagesInUse.Hold image;

  /**
   * What a template stands on.
   *
   * @param imageDigest of its root file system
   * @param below another template that must not be closed before it
   * @param secrets whether its memory is marked as holding secrets
   */
  record Base(String imageDigest, Optional<WarmTemplate> below, boolean secrets) {
    /** Needs its image only. */
    static Base image(String digest, boolean secrets) {
      return new Base(digest, Optional.empty(), secrets);
    }

    /** Needs another template, which is acquired until this one is closed. */
    static Base on(WarmTemplate below, boolean secrets) {
      below.acquire();
      return new Base(below.imageDigest(), Optional.of(below), secrets);
    }
  }

  /**
   * Owns the template and its pool.
   *
   * @param image closed after the template
   */
  WarmTemplate(Recipe recipe, Template template, Pool pool, Base base, ImagesInUse.Hold image) {
    this.recipe = recipe;
    this.template = template;
    this.pool = pool;
    this.base = base;
    this.image = image;
  }

  /** Digest of the root file system below it. */
  String imageDigest() {
    return base.imageDigest();
  }

  /** Whether what it holds is for those only who may fork snapshots with secrets. */
  boolean secrets() {
    return base.secrets();
  }

  /** The template at the bottom of all that this one stands on; itself when there is none. */
  WarmTemplate root() {
    return base.below().map(WarmTemplate::root).orElse(this);
  }

  Recipe recipe() {
    return recipe;
  }

  Template template() {
    return template;
  }

  Pool pool() {
    return pool;
  }

  /** One more that needs it. */
  synchronized void acquire() {
    if (closed) {
      throw new ForkdException(
          FailureKind.CONFLICT, "the template has just been discarded: try again");
    }
    users++;
  }

  /** One less; the last one closes a retired template. */
  void release() {
    boolean last;
    synchronized (this) {
      users--;
      last = mayClose();
    }
    if (last) {
      close();
    }
  }

  /** No more forks; closed now, or when nobody needs it any more. */
  void retire() {
    pool.close();
    boolean unused;
    synchronized (this) {
      retired = true;
      unused = mayClose();
    }
    if (unused) {
      close();
    }
  }

  private boolean mayClose() {
    boolean may = retired && users == 0 && !closed;
    closed |= may;
    return may;
  }

  private void close() {
    long began = System.nanoTime();
    template.close();
    base.below().ifPresent(WarmTemplate::release);
    image.close();
    LOG.info("event=template_closed recipe={} ms={}", recipe.name(), Durations.millisSince(began));
  }
}
