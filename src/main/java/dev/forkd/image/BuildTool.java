package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Runs a program that builds an image to its end, passing on its log line by line. */
final class BuildTool {
  private static final int TAIL_LINES = 40;
  private static final int MAX_LINE = 4096;

  /** How long the output may stay open after the program itself ended. */
  private static final Duration LAST_WORDS = Duration.ofSeconds(5);

  private BuildTool() {}

  /**
   * How a program ended.
   *
   * @param exitCode its exit code
   * @param tail the last 40 lines of its output
   */
  record Ended(int exitCode, String tail) {}

  /** Whether {@code name} is an executable in PATH. */
  static boolean isInstalled(String name) {
    String path = System.getenv().getOrDefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    return Stream.of(path.split(":"))
        .filter(dir -> !dir.isEmpty())
        .anyMatch(dir -> Files.isExecutable(Path.of(dir, name)));
  }

  /**
   * Runs {@code command}; stdin is empty, stderr goes with stdout.
   *
   * @param lines receives each line, cut at 4096 characters
   * @throws dev.forkd.model.ForkdException TIMEOUT when it does not end in time; it is killed then
   */
  static Ended run(List<String> command, Duration deadline, Consumer<String> lines) {
    Deque<String> tail = new ArrayDeque<>();
    try {
      ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
      builder.environment().put("LC_ALL", "C.UTF-8");
      Process process = builder.start();
      try {
        process.getOutputStream().close();
        // It closes the pipe itself: closing it from here would wait for a read in progress.
        Thread reader = Thread.startVirtualThread(() -> read(process, tail, lines));
        if (!process.waitFor(deadline.toMillis(), TimeUnit.MILLISECONDS)) {
          throw late(command, deadline, tail);
        }
        reader.join(LAST_WORDS);
        return new Ended(process.exitValue(), text(tail));
      } finally {
        end(process);
      }
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.ENGINE, command.getFirst() + ": interrupted").thrown();
    } catch (IOException trouble) {
      throw new Failure(FailureKind.ENGINE, command.getFirst() + ": " + trouble.getMessage())
          .thrown(trouble);
    }
  }

  /** Kills what still runs and sees it gone: its files are about to be removed. */
  private static void end(Process process) {
    List<ProcessHandle> family =
        Stream.concat(process.descendants(), Stream.of(process.toHandle())).toList();
    family.reversed().forEach(ProcessHandle::destroyForcibly);
    CompletableFuture.allOf(
            family.stream().map(ProcessHandle::onExit).toArray(CompletableFuture[]::new))
        .completeOnTimeout(null, LAST_WORDS.toSeconds(), TimeUnit.SECONDS)
        .join();
  }

  private static RuntimeException late(
      List<String> command, Duration deadline, Deque<String> tail) {
    String message = command.getFirst() + ": not done after " + deadline.toSeconds() + " s";
    return new Failure(FailureKind.TIMEOUT, message, text(tail)).thrown();
  }

  private static void read(Process process, Deque<String> tail, Consumer<String> lines) {
    try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
      StringBuilder line = new StringBuilder();
      for (int c = output.read(); c >= 0; c = output.read()) {
        if (c != '\n' && c != '\r') {
          if (line.length() < MAX_LINE) {
            line.append((char) c);
          }
        } else if (!line.isEmpty()) {
          tell(line, tail, lines);
        }
      }
      if (!line.isEmpty()) {
        tell(line, tail, lines);
      }
    } catch (IOException closed) {
      // The process was killed and its pipe closed under us: what was read is what there is.
      lines.accept("(output ends: " + closed.getMessage() + ")");
    }
  }

  private static void tell(StringBuilder line, Deque<String> tail, Consumer<String> lines) {
    String text = line.toString();
    line.setLength(0);
    synchronized (tail) {
      tail.addLast(text);
      if (tail.size() > TAIL_LINES) {
        tail.removeFirst();
      }
    }
    lines.accept(text);
  }

  private static String text(Deque<String> tail) {
    synchronized (tail) {
      return String.join("\n", tail);
    }
  }
}
