package dev.forkd.model;

/**
 * A program that was started and is known by a name until it is closed.
 *
 * @param name finds it again, for input and signals; unique within the daemon
 * @param warm whether it runs in a fork of the warm runtime
 * @param program the program; closing this record closes it
 */
public record StartedProgram(String name, boolean warm, RunningProgram program)
    implements AutoCloseable {
  @Override
  public void close() {
    program.close();
  }
}
