package dev.forkd.service;

import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.TerminalSize;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;

/**
 * A command that could not be started, told as a shell tells it: a line on stderr and the exit code
 * 127 (no such command) or 126 (it cannot be executed).
 */
final class UnstartedProgram implements RunningProgram {
  private final Queue<ProgramEvent> events = new ArrayDeque<>();

  private UnstartedProgram(String message, int code) {
    events.add(new ProgramEvent.Output(2, (message + "\n").getBytes(StandardCharsets.UTF_8)));
    events.add(new ProgramEvent.Exited(new ExitStatus(code, 0, false, false, Duration.ZERO)));
  }

  /** The program that stands for this failure to start one; empty when it is another trouble. */
  static Optional<RunningProgram> of(ForkdException e) {
    String message = e.failure().message();
    return switch (e.kind()) {
      case NOT_FOUND -> Optional.of(new UnstartedProgram(message, 127));
      case CONFLICT -> Optional.of(new UnstartedProgram(message, 126));
      case INVALID,
          UNAUTHENTICATED,
          FORBIDDEN,
          LIMITED,
          TOO_LARGE,
          UNSUPPORTED_MEDIA,
          EXHAUSTED,
          UNSUPPORTED,
          UNREACHABLE,
          TIMEOUT,
          ENGINE,
          INTERNAL,
          UNAVAILABLE ->
          Optional.empty();
    };
  }

  @Override
  public long pid() {
    return 0;
  }

  @Override
  public synchronized ProgramEvent next(Duration deadline) {
    return Optional.ofNullable(events.poll())
        .orElseThrow(
            () -> new ForkdException(FailureKind.INTERNAL, "asked for events after the last"));
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    // Nobody reads it.
  }

  @Override
  public void closeInput() {
    // Nobody reads it.
  }

  @Override
  public void signal(int number) {
    // It has ended already.
  }

  @Override
  public void resize(TerminalSize size) {
    // It has ended already.
  }

  @Override
  public void close() {
    // Nothing was started.
  }
}
