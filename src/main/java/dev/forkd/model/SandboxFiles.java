package dev.forkd.model;

import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;

/**
 * The files of a sandbox, by absolute paths inside it. The agent works as root of the sandbox.
 * Methods throw NOT_FOUND, CONFLICT (not allowed, or there already), INVALID, ENGINE, TIMEOUT.
 */
public interface SandboxFiles {
  /** What is at the path; a link is told as one. */
  FileInfo stat(String path);

  /** What is in a directory, in no order; at most {@code limit}, which bounds hostile ones. */
  List<FileInfo> list(String path, int limit);

  /**
   * Makes a directory; with {@code parents} those on the way, too, and one that is there is fine.
   */
  void makeDirectory(String path, int mode, boolean parents);

  /** Removes a file, a link or an empty directory. */
  void remove(String path);

  /** Makes a symbolic link at the path. */
  void link(String path, String target);

  /**
   * Copies a regular file out; at most {@code limit} bytes, at least 1.
   *
   * @return bytes copied
   */
  long read(String path, long limit, OutputStream to, Duration deadline);

  /** Writes a file, atomically. */
  void write(String path, int mode, InputStream from, Duration deadline);
}
