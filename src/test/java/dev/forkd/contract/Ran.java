package dev.forkd.contract;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.ExitStatus;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import java.io.ByteArrayOutputStream;

/** A program that ran to its end. */
public record Ran(byte[] stdoutBytes, byte[] stderrBytes, ExitStatus status) {
  /** Takes all of a program's output and its end. */
  public static Ran toItsEnd(RunningProgram program) {
    ByteArrayOutputStream[] out = {new ByteArrayOutputStream(), new ByteArrayOutputStream()};
    while (true) {
      switch (program.next(Bench.SOON)) {
        case ProgramEvent.Output(int stream, byte[] bytes) -> out[stream - 1].writeBytes(bytes);
        case ProgramEvent.Exited(ExitStatus status) -> {
          return new Ran(out[0].toByteArray(), out[1].toByteArray(), status);
        }
      }
    }
  }

  public String stdout() {
    return new String(stdoutBytes, UTF_8);
  }

  public String stderr() {
    return new String(stderrBytes, UTF_8);
  }

  /** Code, or minus the signal. */
  public int exitCode() {
    return status.exitCode();
  }

  @Override
  public String toString() {
    return status + "\nstdout: " + stdout() + "\nstderr: " + stderr();
  }
}
