package dev.forkd.archive;

import java.io.IOException;
import java.io.InputStream;

/** Where a tree is unpacked. Names are relative and were checked. */
interface Destination {
  /** Makes a directory, its parents first; one that is there is kept. */
  void directory(String name, int mode) throws IOException;

  /** Writes a file, in place of one that is there. */
  void file(String name, int mode, InputStream content) throws IOException;

  /** Makes a symbolic link. */
  void link(String name, String target) throws IOException;
}
