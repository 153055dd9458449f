package dev.forkd.model;

/**
 * What kind of thing went wrong: the one place that maps a failure to an HTTP status, to the exit
 * code of the command line and to whether trying again can help.
 */
public enum FailureKind {
  /** The request itself is wrong; sending it again cannot help. */
  INVALID(400, 2, false),
  /** No or a wrong bearer token. */
  UNAUTHENTICATED(401, 3, false),
  /** The caller is known and may not do that. */
  FORBIDDEN(403, 3, false),
  /** The named thing does not exist. */
  NOT_FOUND(404, 4, false),
  /** The thing exists, but its state forbids the request. */
  CONFLICT(409, 5, false),
  /** The request body is larger than accepted. */
  TOO_LARGE(413, 2, false),
  /** The body's media type is not JSON. */
  UNSUPPORTED_MEDIA(415, 2, false),
  /** The caller asks more often, or for more at once, than it may. */
  LIMITED(429, 6, true),
  /** A limit, a disk or a queue is full. */
  EXHAUSTED(503, 6, true),
  /** This host or engine cannot do that. */
  UNSUPPORTED(501, 7, false),
  /** What should answer inside a sandbox does not, or not as it should. */
  UNREACHABLE(502, 9, true),
  /** A deadline passed. */
  TIMEOUT(504, 8, true),
  /** The engine, a template or a sandbox failed. */
  ENGINE(500, 9, false),
  /** A defect of forkd. */
  INTERNAL(500, 70, false),
  /** No daemon answers at the address (only the client says this). */
  UNAVAILABLE(503, 69, true);

  private final int httpStatus;
  private final int exitCode;
  private final boolean retryable;

  FailureKind(int httpStatus, int exitCode, boolean retryable) {
    this.httpStatus = httpStatus;
    this.exitCode = exitCode;
    this.retryable = retryable;
  }

  /** The HTTP status of a reply that tells this failure. */
  public int httpStatus() {
    return httpStatus;
  }

  /** The exit code of a command that ends with this failure. */
  public int exitCode() {
    return exitCode;
  }

  /** Whether the same request may succeed later. */
  public boolean retryable() {
    return retryable;
  }

  /** The word used on the wire: the name in lower case. */
  public String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
