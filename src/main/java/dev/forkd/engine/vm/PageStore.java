package dev.forkd.engine.vm;

import dev.forkd.host.Deadline;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What {@code forkd-vm} does with files of pages. */
final class PageStore {
  private static final Logger LOG = LoggerFactory.getLogger(PageStore.class);

  private static final Duration DIGEST = Duration.ofMinutes(5);

  private PageStore() {}

  /**
   * A file that pages are taken from.
   *
   * @param index its index's path; "-" when it has all pages
   */
  record Source(Path memory, String index) {}

  /**
   * Makes {@code memory} whole: pages that it lacks come from the first of {@code lower} that has
   * them.
   *
   * @return bytes that it takes on disk
   */
  static long fill(
      Path wrapper, long bytes, Path memory, Path index, List<Source> lower, Deadline deadline) {
    List<String> argv =
        new ArrayList<>(
            List.of(
                wrapper.toString(),
                "fill",
                Long.toString(bytes),
                memory.toString(),
                index.toString()));
    for (Source source : lower) {
      argv.add(source.memory().toString());
      argv.add(source.index());
    }
    try {
      return Long.parseLong(Tool.run(argv, deadline.left()).strip());
    } catch (ForkdException e) {
      Failure why = e.failure();
      throw new Failure(why.kind(), "writing " + memory + ": " + why.message(), why.detail())
          .thrown(e);
    }
  }

  /**
   * Hex SHA-256 of an index, and of the number and content of every page that is not zero.
   *
   * @throws ForkdException ENGINE when the files do not fit each other
   */
  static String digest(Path wrapper, long bytes, Path memory, Path index) {
    List<String> argv =
        List.of(
            wrapper.toString(),
            "digest",
            memory.toString(),
            index.toString(),
            Long.toString(bytes));
    try {
      return Tool.run(argv, DIGEST).strip();
    } catch (ForkdException e) {
      Failure why = e.failure();
      String message = memory + " is damaged: " + why.detail().strip();
      throw new Failure(why.kind(), message, why.detail()).thrown(e);
    }
  }

  /** Gives a file that somebody holds a second name; false when it cannot have one. */
  static boolean link(Path wrapper, Path from, Path to, Deadline deadline) {
    try {
      Tool.run(
          List.of(wrapper.toString(), "link", from.toString(), to.toString()), deadline.left());
      return true;
    } catch (ForkdException e) {
      // Its last name is gone, or it lies on another file system: it is copied.
      LOG.debug("event=page_file_not_linked error=\"{}\"", e.failure().detail().strip());
      return false;
    }
  }

  /** Writes an index. */
  static void write(PageIndex index, Path to) {
    try {
      index.write(to);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "writing " + to + ": " + e).thrown(e);
    }
  }
}
