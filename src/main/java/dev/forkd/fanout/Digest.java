package dev.forkd.fanout;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** SHA-256 over texts and over what files look like from outside: name, size, time. */
final class Digest {
  /** What a run itself writes, and what no test reads. */
  private static final Set<String> LEFT_OUT =
      Set.of(
          "__pycache__",
          ".pytest_cache",
          ".forkd",
          ".git",
          ".hg",
          ".svn",
          ".tox",
          ".nox",
          "node_modules");

  private final MessageDigest digest;

  Digest() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  Digest add(String text) {
    digest.update(text.getBytes(StandardCharsets.UTF_8));
    digest.update((byte) 0);
    return this;
  }

  Digest add(Iterable<String> texts) {
    texts.forEach(text -> add("+" + text));
    return add(".");
  }

  String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }

  /**
   * Every file below a directory. Foreign environments are looked at from outside only.
   *
   * @param written files that do not count: earlier runs' own reports
   */
  void addTree(Path top, Set<String> written) throws IOException {
    Set<String> lines = new TreeSet<>();
    states(top, written).forEach((path, what) -> lines.add(path + " " + what));
    add(lines);
  }

  /** Of every file below a directory: what it looks like from outside; "d" for a directory. */
  static Map<String, String> states(Path top, Set<String> written) throws IOException {
    Map<String, String> states = new TreeMap<>();
    Files.walkFileTree(
        top,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
            boolean out =
                LEFT_OUT.contains(String.valueOf(dir.getFileName()))
                    || Files.exists(dir.resolve("pyvenv.cfg"));
            return out && !dir.equals(top) ? FileVisitResult.SKIP_SUBTREE : line(dir, "d");
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (written.contains(file.toString())) {
              return FileVisitResult.CONTINUE;
            }
            return line(file, attributes.size() + " " + attributes.lastModifiedTime());
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException e) {
            return line(file, "unreadable");
          }

          private FileVisitResult line(Path path, String what) {
            states.put(path.toString(), what);
            return FileVisitResult.CONTINUE;
          }
        });
    return states;
  }

  /** The directory's entries, and those of its site-packages: an installation changes them. */
  void addTop(Path place) throws IOException {
    for (Path libraries : list(place.resolve("lib"))) {
      add(libraries.toString());
      for (Path entry : list(libraries.resolve("site-packages"))) {
        add(entry + " " + Files.getLastModifiedTime(entry, LinkOption.NOFOLLOW_LINKS));
      }
    }
  }

  private static Set<Path> list(Path directory) throws IOException {
    Set<Path> found = new TreeSet<>();
    if (Files.isDirectory(directory)) {
      try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
        entries.forEach(found::add);
      }
    }
    return found;
  }
}
