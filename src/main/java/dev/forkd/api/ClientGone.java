package dev.forkd.api;

/** The client of a stream has hung up: an end, not a failure. */
final class ClientGone extends RuntimeException {
  private static final long serialVersionUID = 1L;

  ClientGone(Exception cause) {
    super("the client has hung up", cause);
  }
}
