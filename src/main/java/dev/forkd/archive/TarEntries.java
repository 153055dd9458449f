package dev.forkd.archive;

import java.io.IOException;
import java.io.OutputStream;
import java.util.concurrent.TimeUnit;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/** Writes entries in the POSIX (pax) form: names and sizes of any length. */
final class TarEntries {
  private TarEntries() {}

  /** A writer; {@code finish} ends the archive, and the stream stays open. */
  static TarArchiveOutputStream writer(OutputStream to) {
    TarArchiveOutputStream tar = new TarArchiveOutputStream(to, "UTF-8");
    tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
    tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
    tar.setAddPaxHeadersForNonAsciiNames(true);
    return tar;
  }

  static void directory(TarArchiveOutputStream tar, String name, int mode, long modifiedNs)
      throws IOException {
    put(tar, new TarArchiveEntry(name + "/"), mode, modifiedNs);
    tar.closeArchiveEntry();
  }

  static void link(TarArchiveOutputStream tar, String name, String target, long modifiedNs)
      throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name, TarConstants.LF_SYMLINK);
    entry.setLinkName(target);
    put(tar, entry, 0777, modifiedNs);
    tar.closeArchiveEntry();
  }

  /** Begins a file: exactly so many bytes of content follow, then closeArchiveEntry. */
  static void begin(TarArchiveOutputStream tar, String name, long bytes, int mode, long modifiedNs)
      throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name);
    entry.setSize(bytes);
    put(tar, entry, mode, modifiedNs);
  }

  private static void put(
      TarArchiveOutputStream tar, TarArchiveEntry entry, int mode, long modifiedNs)
      throws IOException {
    entry.setMode(mode);
    entry.setModTime(Math.max(0, TimeUnit.NANOSECONDS.toMillis(modifiedNs)));
    tar.putArchiveEntry(entry);
  }
}
