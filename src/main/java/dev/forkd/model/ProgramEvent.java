package dev.forkd.model;

/** What a running program tells, in order; {@link Exited} is the last. */
public sealed interface ProgramEvent {
  /**
   * Bytes it wrote.
   *
   * @param stream 1 stdout, 2 stderr
   * @param bytes at most 64 KiB, owned by the receiver
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over once, never compared
  record Output(int stream, byte[] bytes) implements ProgramEvent {}

  /** It has ended and all its output was told. */
  record Exited(ExitStatus status) implements ProgramEvent {}
}
