package dev.forkd.cli;

import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Does something again each time that what it depends on has changed, until a signal ends it. */
final class Watch {
  private static final int LOOK_MILLIS = 300;

  private final Session session;
  private final State now;

  /** One time. */
  interface Work {
    Ran run() throws IOException;
  }

  /** What the work depends on. */
  interface State {
    Tag tag() throws IOException;
  }

  /**
   * What became of it.
   *
   * @param of the state that it was done for
   * @param interrupted whether the user wants no other
   */
  record Ran(int code, Tag of, boolean interrupted) {}

  Watch(Session session, State now) {
    this.session = session;
    this.now = now;
  }

  /** Returns the exit code of the last time. */
  int run(Work work) throws IOException {
    while (true) {
      Ran ran = once(work);
      if (ran.interrupted() || !changes(ran.of())) {
        return ran.code();
      }
    }
  }

  private Ran once(Work work) throws IOException {
    Tag before = now.tag();
    try {
      return work.run();
    } catch (ForkdException e) {
      // What cannot be collected now may be the very thing that the next edit mends.
      session.note("forkd: " + e.getMessage());
      return new Ran(Cli.TROUBLE, before, false);
    }
  }

  /** Waits for another state; false when a signal comes first. */
  private boolean changes(Tag before) throws IOException {
    CountDownLatch ended = new CountDownLatch(1);
    try (var _ = session.console().signals().handle(number -> ended.countDown())) {
      session.note("forkd: waiting for a change; Ctrl-C ends");
      while (!ended.await(LOOK_MILLIS, TimeUnit.MILLISECONDS)) {
        if (!now.tag().equals(before)) {
          return true;
        }
      }
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
