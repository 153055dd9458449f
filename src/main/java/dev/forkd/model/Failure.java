package dev.forkd.model;

import static java.util.Objects.requireNonNull;

/**
 * One failure, told once.
 *
 * @param kind decides HTTP status and exit code
 * @param message one line: what failed, on what, why, and what to do next
 * @param detail more lines for the reader (a traceback, the end of a log), or empty
 */
public record Failure(FailureKind kind, String message, String detail) {
  public Failure {
    requireNonNull(kind);
    requireNonNull(message);
    requireNonNull(detail);
  }

  public Failure(FailureKind kind, String message) {
    this(kind, message, "");
  }

  /** This failure as something to throw. */
  public ForkdException thrown() {
    return new ForkdException(this);
  }

  /** This failure as something to throw, with the exception that led to it. */
  public ForkdException thrown(Throwable cause) {
    return new ForkdException(this, cause);
  }
}
