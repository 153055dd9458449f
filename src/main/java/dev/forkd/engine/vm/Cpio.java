package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.util.HashSet;
import java.util.Set;

/** Writes an archive of the "newc" form that the kernel unpacks (its initramfs buffer format). */
final class Cpio implements Closeable {
  private static final int DIRECTORY = 0040755;
  private static final int REGULAR = 0100000;
  private static final int ALIGNMENT = 4;

  private final OutputStream out;
  private final Set<String> directories = new HashSet<>();
  private int entries;

  /** An archive that goes to {@code out}, which it owns. */
  Cpio(OutputStream out) {
    this.out = out;
  }

  /** Adds a file, and its directories unless they are there; the path has no leading slash. */
  void file(String path, int permissions, byte[] content) throws IOException {
    for (int slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      if (directories.add(path.substring(0, slash))) {
        entry(path.substring(0, slash), DIRECTORY, new byte[0]);
      }
    }
    entry(path, REGULAR | permissions, content);
  }

  /** Adds an empty directory. */
  void directory(String path) throws IOException {
    directories.add(path);
    entry(path, DIRECTORY, new byte[0]);
  }

  private void entry(String path, int mode, byte[] content) throws IOException {
    byte[] name = (path + "\0").getBytes(UTF_8);
    int[] fields = {++entries, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0};
    StringBuilder header = new StringBuilder("070701");
    for (int field : fields) {
      header.append("%08X".formatted(field));
    }
    out.write(header.toString().getBytes(UTF_8));
    out.write(name);
    pad(header.length() + name.length);
    out.write(content);
    pad(content.length);
  }

  private void pad(int length) throws IOException {
    out.write(new byte[Math.floorMod(-length, ALIGNMENT)]);
  }

  @Override
  public void close() throws IOException {
    try (out) {
      entry("TRAILER!!!", 0, new byte[0]);
    }
  }
}
