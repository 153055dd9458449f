package dev.forkd.model;

import java.time.Duration;

/**
 * How a program ended.
 *
 * @param code exit code 0..255; 0 and meaningless when a signal ended it
 * @param signal number of the signal that ended it, or 0
 * @param timedOut whether its timeout ended it
 * @param outOfMemory whether the kernel killed it because the sandbox's memory was used up
 * @param duration from start to end
 */
public record ExitStatus(
    int code, int signal, boolean timedOut, boolean outOfMemory, Duration duration) {
  /** The same end, known to be for want of memory. */
  public ExitStatus forWantOfMemory() {
    return new ExitStatus(code, signal, timedOut, true, duration);
  }

  /** The one number that the REST API and shells use: the code, or minus the signal's number. */
  public int exitCode() {
    return signal != 0 ? -signal : code;
  }

  /** The exit code as a shell would report it: 128 + signal. */
  public int shellCode() {
    return signal != 0 ? 128 + signal : code;
  }
}
