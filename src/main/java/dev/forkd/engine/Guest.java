package dev.forkd.engine;

import dev.forkd.model.EvalResult;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxFiles;
import dev.forkd.model.SandboxId;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletionStage;

/**
 * One running sandbox, as seen from the host. Thread-safe; requests do not wait for one another.
 * Everything that comes from inside is bounded and decoded leniently: a guest may be hostile.
 *
 * <p>Every method throws ENGINE once the sandbox has ended, telling how it ended.
 */
public interface Guest extends AutoCloseable {
  /** Its name. */
  SandboxId id();

  /** Process id of its agent (or of its virtual machine) on the host. */
  long pid();

  /** What connects it with the world. */
  Wire wire();

  /** Name of its network namespace on the host; empty when nothing can reach it. */
  default Optional<String> network() {
    return wire().name();
  }

  /** Bytes of memory that would come back if it ended; empty when nothing counts them. */
  default OptionalLong memoryUsed() {
    return OptionalLong.empty();
  }

  /** State of its runtime as last told, without asking. */
  Pong.RuntimeState runtime();

  /** Asks agent and runtime to answer. */
  Pong ping(Duration deadline);

  /** Nobody asks anything of it until {@link #wake}: it may be stopped. */
  default void park() {}

  /**
   * Makes it ready for somebody, parked or not: its agent and its runtime have answered, its clock
   * is right, and its random numbers are its own.
   *
   * @return state of its runtime
   */
  default Pong.RuntimeState wake(Duration deadline) {
    return ping(deadline).runtime();
  }

  /** Starts a program. */
  RunningProgram run(ProgramSpec spec);

  /** Runs code in the eval session; the code itself gets {@code timeout}. */
  EvalResult eval(String code, Duration timeout);

  /**
   * Copies a regular file of the sandbox to {@code to}; at most {@code limit} bytes.
   *
   * @return bytes copied
   */
  long readFile(String path, long limit, OutputStream to, Duration deadline);

  /** Writes a file of the sandbox, atomically. */
  void writeFile(String path, int mode, InputStream from, Duration deadline);

  /** Its files and directories, by absolute paths. */
  SandboxFiles files();

  /**
   * Makes a snapshot of the sandbox as it is; the sandbox runs on.
   *
   * @throws ForkdException UNSUPPORTED when this engine or this sandbox cannot be branched,
   *     CONFLICT when something runs in it that can be neither carried over nor left out, TIMEOUT
   */
  default Branch branch(BranchPlan plan) {
    throw new ForkdException(
        FailureKind.UNSUPPORTED,
        "sandbox " + id() + ": its engine cannot branch a running sandbox");
  }

  /** Completes with a sentence (OOM, signal, exit code) when it ends without being closed. */
  CompletionStage<String> ended();

  /** Destroys it; returns when its processes, cgroups and sockets are gone. Idempotent. */
  @Override
  void close();
}
