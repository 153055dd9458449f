package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

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
import java.util.concurrent.CompletableFuture;

/**
 * RAM of a template, held by a process of its own and gone with it: a file without a name, and (of
 * a branch) files whose pages replace some of that.
 */
final class TemplateMemory implements AutoCloseable {
  private static final Duration GRACE = Duration.ofSeconds(2);
  private static final Duration ANSWER = Duration.ofSeconds(20);

  private final Subprocess holder;
  private final BufferedReader answers;
  private final List<Path> files;

  /** Fresh memory of that size; nothing of it is used before it is written. */
  TemplateMemory(Path wrapper, int mib) {
    this(wrapper, mib, List.of());
  }

  /**
   * Fresh memory, and files, which may lose their names later.
   *
   * @param mib 0: the first of the files is the memory
   */
  TemplateMemory(Path wrapper, int mib, List<Path> held) {
    long bytes = (long) mib << 20;
    List<String> argv = new ArrayList<>(List.of(wrapper.toString(), "hold", Long.toString(bytes)));
    held.forEach(path -> argv.add(path.toString()));
    holder = Subprocess.start(argv, Map.of(), GRACE);
    answers = new BufferedReader(new InputStreamReader(holder.stdout(), UTF_8));
    try {
      List<String> parts = List.of(answer().split(" ", -1));
      String directory = "/proc/" + Long.parseLong(parts.getFirst()) + "/fd/";
      files = parts.stream().skip(1).map(fd -> Path.of(directory + Integer.parseInt(fd))).toList();
    } catch (RuntimeException e) {
      holder.close();
      throw e;
    }
  }

  /** Completes when it is gone, closed or not. */
  CompletableFuture<ProcessHandle> ended() {
    return ProcessHandle.of(holder.pid())
        .map(ProcessHandle::onExit)
        .orElseGet(() -> CompletableFuture.completedFuture(ProcessHandle.current()));
  }

  /** Where {@code forkd-vm run} opens it. */
  Path file() {
    return files.getFirst();
  }

  /** Where the files can be opened that replace pages of it; the oldest first. */
  List<Path> pages() {
    return files.subList(1, files.size());
  }

  /** From here on nobody can change it. The machine that wrote it has ended. */
  void seal() {
    try {
      holder.stdin().write("seal\n".getBytes(UTF_8));
      holder.stdin().flush();
    } catch (IOException e) {
      throw failed(e.toString());
    }
    if (!answer().equals("sealed")) {
      throw failed("an unexpected answer");
    }
  }

  private String answer() {
    try (Watchdog _ = Watchdog.after(ANSWER, holder::close)) {
      String line = answers.readLine();
      if (line == null) {
        throw failed("no answer");
      }
      return line;
    } catch (IOException e) {
      throw failed(e.toString());
    }
  }

  private RuntimeException failed(String how) {
    String said = holder.stderrTail().strip();
    return new Failure(
            FailureKind.ENGINE, "the process that holds the template's memory: " + how, said)
        .thrown();
  }

  @Override
  public void close() {
    holder.close();
  }
}
