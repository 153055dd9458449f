package dev.forkd.model;

import java.util.List;
import java.util.Optional;

/**
 * A program that runs whether or not a client listens. Of its output the last part is kept;
 * positions in it count the bytes of stdout and stderr together, from 0, in the order in which they
 * came.
 *
 * @param name finds it again; unique within the daemon
 * @param command what was asked for, as words; long ones are cut
 * @param pid process id inside the sandbox
 * @param warm whether it runs in a fork of the warm runtime
 * @param startedAtUnixMs by the wall clock
 * @param end how it ended; empty while it runs
 * @param outputFrom position of the first byte that is kept
 * @param outputTo position behind the last byte
 */
public record DetachedProgram(
    String name,
    List<String> command,
    long pid,
    boolean warm,
    long startedAtUnixMs,
    Optional<End> end,
    long outputFrom,
    long outputTo) {
  public DetachedProgram {
    command = List.copyOf(command);
  }

  /** How it ended, when that is known. */
  public Optional<ExitStatus> status() {
    return end.flatMap(
        how -> how instanceof End.Exited(var status) ? Optional.of(status) : Optional.empty());
  }

  /** Why nobody can tell how it ended; "" otherwise. */
  public String error() {
    return end.map(how -> how instanceof End.Lost(var failure) ? failure.message() : "").orElse("");
  }

  /** How it ended. */
  public sealed interface End {
    /** By itself, by a signal or by its timeout. */
    record Exited(ExitStatus status) implements End {}

    /** Nobody can tell: the sandbox, or the agent in it, was lost. */
    record Lost(Failure failure) implements End {}
  }
}
