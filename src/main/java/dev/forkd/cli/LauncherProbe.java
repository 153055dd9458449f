package dev.forkd.cli;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameReader;
import dev.forkd.frame.FrameType;
import dev.forkd.frame.FrameWriter;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;

/** Asks the launcher, the one program that touches the kernel, what this kernel can do. */
final class LauncherProbe {
  private static final int PATIENCE_SECONDS = 10;
  private static final int MAX_WORDS = 500;

  private LauncherProbe() {}

  /** The report of docs/process-engine.md's L_WELCOME. */
  static JsonNode report(Path launcher) throws IOException {
    Path run = Files.createTempDirectory("forkd-doctor-");
    Path said = run.resolve("stderr");
    Process process = new ProcessBuilder(launcher.toString()).redirectError(said.toFile()).start();
    Executor later =
        CompletableFuture.delayedExecutor(PATIENCE_SECONDS, TimeUnit.SECONDS, Runnable::run);
    later.execute(process::destroyForcibly); // ends the read below if nothing comes
    try {
      return Json.parse(ask(process, run).text(FieldKey.REPORT));
    } catch (IOException e) {
      throw new IOException(ending(process, said), e);
    } finally {
      end(process);
      Files.deleteIfExists(said);
      Files.deleteIfExists(run);
    }
  }

  private static Fields ask(Process process, Path run) throws IOException {
    Fields hello =
        Fields.builder()
            .integer(FieldKey.VERSION, Frame.PROTOCOL_VERSION)
            .text(FieldKey.RUN_DIR, run.toString())
            .text(FieldKey.INSTANCE, "doctor" + ProcessHandle.current().pid())
            .build();
    new FrameWriter(process.getOutputStream()).write(new Frame(FrameType.L_HELLO, 1, hello));
    Frame answer =
        new FrameReader(process.getInputStream())
            .read()
            .orElseThrow(() -> new IOException("it hung up"));
    if (answer.type() != FrameType.L_WELCOME) {
      throw new ForkdException(FailureKind.UNSUPPORTED, answer.fields().text(FieldKey.MESSAGE));
    }
    return answer.fields();
  }

  /** Its last words say more than the broken pipe to it does. */
  private static String ending(Process process, Path said) throws IOException {
    end(process);
    String words = Files.readString(said).strip();
    return "it ended with status "
        + process.exitValue()
        + " without an answer"
        + (words.isEmpty() ? "" : ": " + words.substring(Math.max(0, words.length() - MAX_WORDS)));
  }

  private static void end(Process process) {
    try {
      process.getOutputStream().close(); // its order to end
    } catch (IOException e) {
      process.destroy(); // it has hung up: what was buffered cannot be written any more
    }
    process.onExit().orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join();
  }
}
