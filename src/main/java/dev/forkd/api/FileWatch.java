package dev.forkd.api;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Does something when one of some files has become another. Looks at time, size and inode instead
 * of asking the kernel for news: a file that is replaced through links, as Kubernetes does with
 * secrets, is seen as well.
 */
final class FileWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(FileWatch.class);
  private static final long EVERY_MILLIS = 1_000;

  private final List<Path> files;
  private final Runnable changed;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("file-watch").daemon().factory());
  private final Future<?> looking;
  private String seen;

  FileWatch(List<Path> files, Runnable changed) {
    this.files = files;
    this.changed = changed;
    this.seen = stamp();
    this.looking =
        clock.scheduleWithFixedDelay(this::look, EVERY_MILLIS, EVERY_MILLIS, TimeUnit.MILLISECONDS);
  }

  private void look() {
    String now = stamp();
    if (now.equals(seen) || now.contains("gone")) {
      return; // between the removal of a file and the arrival of its successor nothing changes
    }
    seen = now;
    try {
      changed.run();
    } catch (RuntimeException e) {
      LOG.error("event=reload_failed files={}", files, e);
    }
  }

  private String stamp() {
    StringBuilder stamp = new StringBuilder();
    for (Path file : files) {
      try {
        BasicFileAttributes now = Files.readAttributes(file, BasicFileAttributes.class);
        stamp.append(now.lastModifiedTime()).append(now.size()).append(now.fileKey()).append(' ');
      } catch (IOException e) {
        stamp.append("gone ");
      }
    }
    return stamp.toString();
  }

  @Override
  public void close() {
    looking.cancel(false);
    clock.shutdownNow();
  }
}
