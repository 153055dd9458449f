package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.host.Deadline;
import dev.forkd.host.Subprocess;
import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * {@code forkd-vm capture}: copies the pages that a machine has of its own. Started before the
 * machine stands still, so that only the copying itself takes place while it does.
 */
final class Capture implements AutoCloseable {
  private static final Duration GRACE = Duration.ofSeconds(2);

  private final Subprocess program;
  private final BufferedReader answers;

  /**
   * What is copied.
   *
   * @param pid of QEMU
   * @param bytes of the guest's memory
   * @param copyMax bytes that are copied while the guest stands still; of more, QEMU is copied
   * @param memory the new file for the pages
   * @param index the new file that tells which
   * @param mapped files of which the guest's memory is a mapping
   */
  record Order(long pid, long bytes, long copyMax, Path memory, Path index, List<String> mapped) {}

  /**
   * What was copied.
   *
   * @param bytes that are not zero
   * @param pages that the snapshot has of its own
   */
  record Captured(long bytes, long pages) {}

  /** Starts it; returns when it is ready to copy. */
  Capture(Path wrapper, Order order, Deadline deadline) {
    List<String> argv = new ArrayList<>(List.of(wrapper.toString(), "capture"));
    argv.add(Long.toString(order.pid()));
    argv.add(Long.toString(order.bytes()));
    argv.add(Long.toString(order.copyMax()));
    argv.add(order.memory().toString());
    argv.add(order.index().toString());
    argv.addAll(order.mapped());
    program = Subprocess.start(argv, Map.of(), GRACE);
    answers = new BufferedReader(new InputStreamReader(program.stdout(), UTF_8));
    try {
      await("ready", deadline);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** The machine stands still from now on. */
  void begin() {
    try {
      program.stdin().write('\n');
      program.stdin().flush();
    } catch (IOException e) {
      throw failed(e.toString());
    }
  }

  /** Returns when the machine may go on: "copied" or "frozen". */
  String awaitHeld(Deadline deadline) {
    return await("held ", deadline);
  }

  /** Returns when all is written. */
  Captured awaitDone(Deadline deadline) {
    String[] numbers = await("done ", deadline).split(" ", 3);
    return new Captured(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]));
  }

  private String await(String word, Deadline deadline) {
    try (Watchdog _ = Watchdog.after(deadline.left(), program::close)) {
      String line = answers.readLine();
      if (line == null || !line.startsWith(word)) {
        program.end(GRACE);
        throw failed(deadline.passed() ? "it took too long" : "it ended early");
      }
      return line.substring(word.length());
    } catch (IOException e) {
      throw failed(e.toString());
    }
  }

  private RuntimeException failed(String how) {
    String said = program.stderrTail().strip();
    return new Failure(
            FailureKind.ENGINE,
            "copying the machine's memory: " + (said.isEmpty() ? how : said),
            said)
        .thrown();
  }

  @Override
  public void close() {
    program.close();
  }
}
