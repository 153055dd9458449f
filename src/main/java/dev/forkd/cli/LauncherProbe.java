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

  private LauncherProbe() {}

  /** The report of docs/process-engine.md's L_WELCOME. */
  static JsonNode report(Path launcher) throws IOException {
    Path run = Files.createTempDirectory("forkd-doctor-");
    Process process =
        new ProcessBuilder(launcher.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    Executor later =
        CompletableFuture.delayedExecutor(PATIENCE_SECONDS, TimeUnit.SECONDS, Runnable::run);
    later.execute(process::destroyForcibly); // ends the read below if nothing comes
    try {
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
              .orElseThrow(() -> new IOException("it ended without an answer"));
      if (answer.type() != FrameType.L_WELCOME) {
        throw new ForkdException(FailureKind.UNSUPPORTED, answer.fields().text(FieldKey.MESSAGE));
      }
      return Json.parse(answer.fields().text(FieldKey.REPORT));
    } finally {
      process.getOutputStream().close(); // its order to end
      process.onExit().orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join();
      Files.deleteIfExists(run);
    }
  }
}
