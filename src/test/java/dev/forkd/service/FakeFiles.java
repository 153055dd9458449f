package dev.forkd.service;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.FileInfo;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxFiles;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** Files of a fake sandbox: a directory of this machine stands for its root. */
public final class FakeFiles implements SandboxFiles {
  private Optional<Path> root = Optional.empty();

  private synchronized Path root() {
    if (root.isEmpty()) {
      try {
        root = Optional.of(Files.createTempDirectory(Path.of("target"), "fake-root-"));
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }
    return root.get();
  }

  /** Where that path of the sandbox really is: as in a sandbox, nothing leads above its root. */
  public Path real(String path) {
    return root().resolve(Path.of("/").relativize(Path.of(path).normalize()));
  }

  private interface Work<T> {
    T run() throws IOException;
  }

  private static <T> T told(Work<T> work) {
    try {
      return work.run();
    } catch (NoSuchFileException e) {
      throw new Failure(FailureKind.NOT_FOUND, "no such file: " + e.getMessage()).thrown(e);
    } catch (FileAlreadyExistsException | DirectoryNotEmptyException e) {
      throw new Failure(FailureKind.CONFLICT, "there already: " + e.getMessage()).thrown(e);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, String.valueOf(e)).thrown(e);
    }
  }

  private static FileInfo info(Path path, String name) throws IOException {
    BasicFileAttributes at =
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    FileInfo.Kind kind =
        at.isSymbolicLink()
            ? FileInfo.Kind.LINK
            : at.isDirectory() ? FileInfo.Kind.DIRECTORY : FileInfo.Kind.FILE;
    String target = at.isSymbolicLink() ? Files.readSymbolicLink(path).toString() : "";
    return new FileInfo(name, kind, at.size(), 0644, 1_000_000_000L, target);
  }

  @Override
  public FileInfo stat(String path) {
    return told(() -> info(real(path), ""));
  }

  @Override
  public List<FileInfo> list(String path, int limit) {
    return told(() -> {
      try (Stream<Path> entries = Files.list(real(path))) {
        List<Path> found = entries.limit(limit).toList();
        List<FileInfo> infos = new java.util.ArrayList<>();
        for (Path entry : found) {
          infos.add(info(entry, String.valueOf(entry.getFileName())));
        }
        return infos;
      }
    });
  }

  @Override
  public void makeDirectory(String path, int mode, boolean parents) {
    told(() -> parents ? Files.createDirectories(real(path)) : Files.createDirectory(real(path)));
  }

  @Override
  public void remove(String path) {
    told(() -> {
      Files.delete(real(path));
      return true;
    });
  }

  @Override
  public void link(String path, String target) {
    told(() -> Files.createSymbolicLink(real(path), Path.of(target)));
  }

  @Override
  public long read(String path, long limit, OutputStream to, Duration deadline) {
    return told(() -> {
      byte[] content = Files.readAllBytes(real(path));
      int n = (int) Math.min(content.length, limit);
      to.write(content, 0, n);
      return (long) n;
    });
  }

  @Override
  public void write(String path, int mode, InputStream from, Duration deadline) {
    if (path.endsWith("/full")) {
      throw new ForkdException(FailureKind.EXHAUSTED, "the disk is full");
    }
    told(() -> {
      Files.createDirectories(real(path).resolveSibling("."));
      return Files.copy(from, real(path), StandardCopyOption.REPLACE_EXISTING);
    });
  }
}
