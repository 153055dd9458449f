package dev.forkd.model;

import java.time.Duration;

/** Passes everything on to another program; a subclass changes what it is there for. */
public abstract class ForwardedProgram implements RunningProgram {
  private final RunningProgram program;

  /** Over a program, which it owns. */
  protected ForwardedProgram(RunningProgram program) {
    this.program = program;
  }

  @Override
  public long pid() {
    return program.pid();
  }

  @Override
  public ProgramEvent next(Duration deadline) {
    return program.next(deadline);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    program.write(bytes, offset, length);
  }

  @Override
  public void closeInput() {
    program.closeInput();
  }

  @Override
  public void signal(int number) {
    program.signal(number);
  }

  @Override
  public void resize(TerminalSize size) {
    program.resize(size);
  }

  @Override
  public void close() {
    program.close();
  }
}
