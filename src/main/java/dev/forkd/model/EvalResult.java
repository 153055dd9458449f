package dev.forkd.model;

/**
 * What an eval gave. Empty text stands for absence.
 *
 * @param result repr of the value of the last expression; "" for a statement or None
 * @param stdout captured, bounded
 * @param stderr captured, bounded
 * @param error {@code Type: message}; "" when it succeeded
 * @param traceback of the user's own frames
 * @param truncated whether anything was cut to its bound
 * @param restarted whether earlier state of the session was lost before this eval
 */
public record EvalResult(
    String result,
    String stdout,
    String stderr,
    String error,
    String traceback,
    boolean truncated,
    boolean restarted) {
  /** The same result with another error. */
  public EvalResult withError(String text) {
    return new EvalResult(result, stdout, stderr, text, traceback, truncated, restarted);
  }

  /** 0, or 1 when the code raised. */
  public int exitCode() {
    return error.isEmpty() ? 0 : 1;
  }
}
