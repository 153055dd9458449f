package dev.forkd.archive;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.FileInfo;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxFiles;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/** A tree inside a sandbox: into a tar, out of one, and away. */
public final class SandboxTree {
  private static final Duration PER_FILE = Duration.ofHours(1);
  private static final int MAX_PER_DIRECTORY = 200_000;
  private static final int MAX_ENTRIES = 1_000_000;
  private static final int MAX_DEPTH = 128;

  private final SandboxFiles files;
  private final String root;
  private long entries;

  /**
   * The tree at a path.
   *
   * @param root absolute path in the sandbox
   */
  public SandboxTree(SandboxFiles files, String root) {
    this.files = files;
    this.root =
        root.length() > 1 && root.endsWith("/") ? root.substring(0, root.length() - 1) : root;
  }

  private String path(String name) {
    return name.isEmpty() ? root : root.equals("/") ? "/" + name : root + "/" + name;
  }

  /**
   * Unpacks a tar into it; the directory and its parents are made.
   *
   * @return entries unpacked
   */
  public long unpack(InputStream tar) throws IOException {
    files.makeDirectory(root, 0755, true);
    return Unpacking.run(tar, new Inside());
  }

  /**
   * Packs it. Pipes, sockets and devices are left out.
   *
   * @throws ForkdException NOT_FOUND, or INVALID when the path is no directory
   */
  public void pack(OutputStream to) throws IOException {
    FileInfo info = files.stat(root);
    if (info.kind() != FileInfo.Kind.DIRECTORY) {
      throw new ForkdException(
          FailureKind.INVALID, root + " is no directory: read it as a file instead");
    }
    TarArchiveOutputStream tar = TarEntries.writer(to);
    pack("", 0, tar);
    tar.finish();
  }

  private void pack(String name, int depth, TarArchiveOutputStream tar) throws IOException {
    for (FileInfo info : children(name, depth)) {
      String child = name.isEmpty() ? info.name() : name + "/" + info.name();
      switch (info.kind()) {
        case DIRECTORY -> {
          TarEntries.directory(tar, child, info.mode(), info.modifiedNs());
          pack(child, depth + 1, tar);
        }
        case FILE -> file(tar, child, info);
        case LINK -> TarEntries.link(tar, child, info.target(), info.modifiedNs());
        case OTHER -> {}
      }
    }
  }

  private void file(TarArchiveOutputStream tar, String name, FileInfo info) throws IOException {
    TarEntries.begin(tar, name, info.bytes(), info.mode(), info.modifiedNs());
    long copied = info.bytes() == 0 ? 0 : files.read(path(name), info.bytes(), tar, PER_FILE);
    if (copied < info.bytes()) {
      throw new ForkdException(
          FailureKind.CONFLICT, path(name) + " became shorter while it was read; try again");
    }
    tar.closeArchiveEntry();
  }

  private List<FileInfo> children(String name, int depth) {
    List<FileInfo> found = files.list(path(name), MAX_PER_DIRECTORY + 1);
    entries += found.size();
    if (found.size() > MAX_PER_DIRECTORY || entries > MAX_ENTRIES || depth > MAX_DEPTH) {
      throw new ForkdException(
          FailureKind.INVALID,
          "the tree at %s is too large or too deep to be taken as a whole".formatted(path(name)));
    }
    return found.stream()
        .filter(info -> !info.name().isEmpty())
        .sorted(Comparator.comparing(FileInfo::name))
        .toList();
  }

  /** Removes it, whatever is in it. Links are removed, not what they lead to. */
  public void remove() {
    remove("", files.stat(root), 0);
  }

  private void remove(String name, FileInfo info, int depth) {
    if (info.kind() == FileInfo.Kind.DIRECTORY) {
      for (FileInfo child : children(name, depth)) {
        remove(name.isEmpty() ? child.name() : name + "/" + child.name(), child, depth + 1);
      }
    }
    files.remove(path(name));
  }

  private final class Inside implements Destination {
    @Override
    public void directory(String name, int mode) {
      files.makeDirectory(path(name), mode, true);
    }

    @Override
    public void file(String name, int mode, InputStream content) {
      files.write(path(name), mode, unclosed(content), PER_FILE);
    }

    @Override
    public void link(String name, String target) {
      try {
        files.link(path(name), target);
      } catch (ForkdException e) {
        if (e.kind() != FailureKind.CONFLICT) {
          throw e;
        }
        throw new Failure(FailureKind.CONFLICT, path(name) + " is there already; remove it first")
            .thrown(e);
      }
    }
  }

  private static InputStream unclosed(InputStream in) {
    return new FilterInputStream(in) {
      @Override
      public void close() {
        // The next entry follows in the same stream.
      }
    };
  }
}
