package dev.forkd.model;

/** The next that a detached program has to tell, from a position on. */
public sealed interface DetachedOutput {
  /**
   * Bytes that it wrote.
   *
   * @param stream 1 stdout, 2 stderr
   * @param at position of the first byte; beyond what was asked for when that is kept no longer
   * @param bytes owned by the receiver
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over once, never compared
  record Chunk(int stream, long at, byte[] bytes) implements DetachedOutput {}

  /** It has ended, and there is no more output. */
  record Ended(DetachedProgram.End end) implements DetachedOutput {}
}
