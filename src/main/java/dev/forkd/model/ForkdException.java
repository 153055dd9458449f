package dev.forkd.model;

/** The only exception that forkd throws on purpose; it carries a {@link Failure}. */
public final class ForkdException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient Failure failure;

  public ForkdException(Failure failure) {
    super(failure.message());
    this.failure = failure;
  }

  public ForkdException(Failure failure, Throwable cause) {
    super(failure.message(), cause);
    this.failure = failure;
  }

  /** A failure of that kind. */
  public ForkdException(FailureKind kind, String message) {
    this(new Failure(kind, message));
  }

  /** What failed. */
  public Failure failure() {
    return failure;
  }

  /** The kind of what failed. */
  public FailureKind kind() {
    return failure.kind();
  }
}
