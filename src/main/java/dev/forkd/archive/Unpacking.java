package dev.forkd.archive;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/** Takes a tar apart, in order, links last. */
final class Unpacking {
  private static final int MAX_ENTRIES = 1_000_000;
  private static final int MAX_LINKS = 100_000;
  private static final int PERMISSIONS = 0777; // no set-user-id bit comes out of an archive

  private final Destination destination;
  private final Map<String, String> links = new LinkedHashMap<>();
  private long entries;

  private Unpacking(Destination destination) {
    this.destination = destination;
  }

  /**
   * Unpacks; entries before one that is refused are there already.
   *
   * @return entries unpacked
   * @throws dev.forkd.model.ForkdException INVALID for what is no tar, or an entry that is refused
   */
  static long run(InputStream tar, Destination destination) throws IOException {
    Unpacking unpacking = new Unpacking(destination);
    TarArchiveInputStream in = new TarArchiveInputStream(tar, "UTF-8");
    for (TarArchiveEntry entry = next(in); entry != null; entry = next(in)) {
      unpacking.take(entry, in);
    }
    for (Map.Entry<String, String> link : unpacking.links.entrySet()) {
      destination.link(link.getKey(), link.getValue());
    }
    return unpacking.entries;
  }

  private static @org.jspecify.annotations.Nullable TarArchiveEntry next(TarArchiveInputStream in) {
    try {
      return in.getNextEntry();
    } catch (IOException | IllegalArgumentException e) {
      throw broken(e);
    }
  }

  private static ForkdException broken(Exception e) {
    return new Failure(FailureKind.INVALID, "this is no whole tar archive: " + e.getMessage())
        .thrown(e);
  }

  /** A file of the archive; tells an archive that is broken from a destination that fails. */
  private static final class Content extends FilterInputStream {
    private Optional<IOException> failure = Optional.empty();

    Content(InputStream in) {
      super(in);
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
      try {
        return super.read(into, offset, length);
      } catch (IOException e) {
        failure = Optional.of(e);
        throw e;
      }
    }
  }

  private void file(String name, int mode, InputStream in) throws IOException {
    Content content = new Content(in);
    try {
      destination.file(name, mode, content);
    } catch (IOException | ForkdException e) {
      if (content.failure.isPresent()) {
        throw broken(content.failure.get());
      }
      throw e;
    }
  }

  private void take(TarArchiveEntry entry, TarArchiveInputStream in) throws IOException {
    if (++entries > MAX_ENTRIES) {
      throw new Failure(FailureKind.INVALID, "more than " + MAX_ENTRIES + " entries").thrown();
    }
    String name = InsideName.of(entry.getName());
    int mode = entry.getMode() & PERMISSIONS;
    if (entry.isDirectory()) {
      destination.directory(name, mode);
    } else if (entry.isSymbolicLink()) {
      InsideName.checkLink(name, entry.getLinkName());
      keep(name, entry.getLinkName());
    } else if (!isRegular(entry) || name.isEmpty()) {
      throw InsideName.refused(entry.getName(), "is no file, directory or symbolic link");
    } else {
      file(name, mode, in);
    }
  }

  // Not isFile(), which is true of devices and pipes.
  private static boolean isRegular(TarArchiveEntry entry) {
    byte flag = entry.getLinkFlag();
    return flag == TarConstants.LF_NORMAL
        || flag == TarConstants.LF_OLDNORM
        || flag == TarConstants.LF_CONTIG;
  }

  private void keep(String name, String target) {
    if (links.size() >= MAX_LINKS || name.isEmpty()) {
      throw InsideName.refused(name, "is one link too many");
    }
    links.put(name, target);
  }
}
