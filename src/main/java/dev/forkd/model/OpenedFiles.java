package dev.forkd.model;

/**
 * The files of a sandbox that is in use, and so not idle, until this is closed.
 *
 * @param files to work with
 * @param release ends the use
 */
public record OpenedFiles(SandboxFiles files, Runnable release) implements AutoCloseable {
  @Override
  public void close() {
    release.run();
  }
}
