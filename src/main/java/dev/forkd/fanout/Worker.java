package dev.forkd.fanout;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.ProgramStream;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;
import tools.jackson.databind.node.ObjectNode;

/** A program of a run in a sandbox of its own: the controller, or one worker. */
final class Worker implements AutoCloseable {
  private static final Duration LONGEST = Duration.ofDays(1);

  private final SandboxId sandbox;
  private final ProgramStream stream;

  private Worker(SandboxId sandbox, ProgramStream stream) {
    this.sandbox = sandbox;
    this.stream = stream;
  }

  /** Starts the code in a fork of the sandbox's runtime. */
  static Worker call(ForkdClient client, SandboxId sandbox, String code) {
    ObjectNode body = Json.object().put("code", code).put("stdin", true);
    body.putObject("env").put("FORKD_REVEAL", "all"); // it goes on with what was collected
    return new Worker(sandbox, client.start(sandbox, "call", body, LONGEST.minusSeconds(60)));
  }

  SandboxId sandbox() {
    return sandbox;
  }

  /** Writes to its standard input. */
  synchronized void write(byte[] bytes) {
    stream.write(bytes, 0, bytes.length);
  }

  void signal(int number) {
    stream.signal(number);
  }

  /** Takes its output until it has ended. */
  ExitStatus follow(Map<Integer, Consumer<byte[]>> outputs) {
    while (true) {
      switch (stream.next(LONGEST)) {
        case ProgramEvent.Output(var number, var bytes) -> {
          Consumer<byte[]> output = outputs.get(number);
          if (output != null) {
            output.accept(bytes);
          }
        }
        case ProgramEvent.Exited(var status) -> {
          return status;
        }
      }
    }
  }

  /** How it ended, in words. */
  static String words(ExitStatus status) {
    if (status.outOfMemory()) {
      return "out of memory";
    }
    return status.signal() > 0
        ? "killed by signal " + status.signal()
        : "it left with exit code " + status.exitCode();
  }

  /** Hangs up; the daemon ends the program. */
  @Override
  public void close() {
    try {
      stream.close();
    } catch (ForkdException e) {
      return; // hung up already: nothing is left to end
    }
  }
}
