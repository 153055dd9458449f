package dev.forkd.cli;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * The terminal of this process, by way of stty(1). Its size is told once: a JVM hears nothing of
 * SIGWINCH. Commands that the daemon runs have a caller that does.
 */
final class SttyScreen implements Screen {
  private static final int SECONDS = 5;

  @Override
  public Raw raw(Consumer<TerminalSize> sized) {
    String before = stty("-g");
    stty("raw", "-echo");
    String told = stty("size");
    if (told.matches("[1-9][0-9]{0,3} [1-9][0-9]{0,3}")) {
      String[] size = told.split(" ");
      sized.accept(new TerminalSize(Integer.parseInt(size[0]), Integer.parseInt(size[1])));
    }
    return () -> stty(before);
  }

  private static String stty(String... arguments) {
    try {
      List<String> command = new java.util.ArrayList<>(List.of("stty"));
      command.addAll(List.of(arguments));
      Process process =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.INHERIT)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!process.waitFor(SECONDS, TimeUnit.SECONDS) || process.exitValue() != 0) {
        throw new Failure(FailureKind.UNSUPPORTED, "stty cannot set this terminal").thrown();
      }
      return out.strip();
    } catch (IOException e) {
      throw new Failure(FailureKind.UNSUPPORTED, "stty cannot be run: " + e.getMessage()).thrown(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.UNAVAILABLE, "interrupted").thrown(e);
    }
  }
}
