package dev.forkd.host;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** Programs of the host that are run to their end. */
public final class Tool {
  /** The environment that programs of the host get. */
  public static final Map<String, String> ENV =
      Map.of("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL", "C.UTF-8");

  private static final Duration GRACE = Duration.ofSeconds(2);
  private static final int MAX_OUTPUT = 1 << 20;

  private Tool() {}

  /**
   * What it wrote to stdout.
   *
   * @throws dev.forkd.model.ForkdException ENGINE with the end of its stderr when it fails, TIMEOUT
   */
  public static String run(List<String> argv, Duration deadline) {
    return run(argv, "", deadline);
  }

  /**
   * As {@link #run(List, Duration)}, for a program that reads.
   *
   * @param input all that it reads; less than a pipe holds (64 KiB)
   */
  public static String run(List<String> argv, String input, Duration deadline) {
    String name = argv.getFirst();
    AtomicBoolean late = new AtomicBoolean();
    try (Subprocess program = Subprocess.start(argv, ENV, GRACE);
        Watchdog _ = Watchdog.after(deadline, () -> end(program, late))) {
      try (OutputStream stdin = program.stdin()) {
        stdin.write(input.getBytes(UTF_8));
      }
      String output = new String(program.stdout().readNBytes(MAX_OUTPUT), UTF_8);
      String how = program.end(deadline).orElse("did not end");
      if (late.get()) {
        String message = name + ": not done after " + deadline.toSeconds() + " s";
        throw new Failure(FailureKind.TIMEOUT, message).thrown();
      }
      if (!how.equals("ended with exit code 0")) {
        throw new Failure(FailureKind.ENGINE, name + " " + how, program.stderrTail()).thrown();
      }
      return output;
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, name + ": " + e).thrown(e);
    }
  }

  private static void end(Subprocess program, AtomicBoolean late) {
    late.set(true);
    program.close();
  }
}
