package dev.forkd.model;

/**
 * Answer of a sandbox to ping.
 *
 * @param runtime what the warm runtime is doing
 * @param report JSON object that the runtime told of itself; "{}" without a runtime
 */
public record Pong(RuntimeState runtime, String report) {
  /** What the warm runtime of a sandbox is doing. */
  public enum RuntimeState {
    /** The recipe has none. */
    NONE,
    /** Not ready yet. */
    STARTING,
    /** Serving. */
    READY,
    /** It has ended; only exec works. */
    ENDED
  }
}
