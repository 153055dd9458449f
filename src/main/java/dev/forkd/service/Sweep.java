package dev.forkd.service;

import dev.forkd.model.ForkdException;
import java.util.function.IntSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Takes from the disk what nobody needs: what a crash left, and what could not be removed once. */
final class Sweep implements Runnable {
  private static final Logger LOG = LoggerFactory.getLogger(Sweep.class);

  private final Parts parts;
  private final ImagesInUse images;
  private final Metrics metrics;

  Sweep(Parts parts, ImagesInUse images, Metrics metrics) {
    this.parts = parts;
    this.images = images;
    this.metrics = metrics;
  }

  @Override
  public void run() {
    take("files", parts.files()::sweep);
    take("images", images::sweep);
  }

  private void take(String what, IntSupplier removal) {
    try {
      int n = removal.getAsInt();
      metrics.swept(what, n);
      if (n > 0) {
        LOG.info("event=swept what={} n={}", what, n);
      }
    } catch (ForkdException e) {
      metrics.sweepFailed();
      LOG.error("event=not_swept what={} reason=\"{}\"", what, e.getMessage());
    }
  }
}
