package dev.forkd.image;

import java.util.Arrays;
import java.util.List;

/** Checks absolute paths inside an image before anything is done with them. */
final class InsidePath {
  private static final int MAX_LENGTH = 1024;
  private static final int MAX_NAME_BYTES = 255;

  /** Where every sandbox has file systems of its own, so that what an image has there is unseen. */
  private static final List<String> COVERED =
      List.of("/proc", "/sys", "/dev", "/run", "/tmp", "/.forkd");

  private InsidePath() {}

  /** The path of {@code node} without a trailing slash. */
  static String of(String path, YamlNode node) {
    String text = Section.textOf(path, node);
    String wrong = wrong(text);
    if (!wrong.isEmpty()) {
      throw YamlReader.at(node.line(), "`" + path + "`: `" + printable(text) + "` " + wrong);
    }
    return text.length() > 1 && text.endsWith("/") ? text.substring(0, text.length() - 1) : text;
  }

  /** As {@link #of}, and a place where a file of the image can be seen. */
  static String ofContent(String path, YamlNode node) {
    String found = of(path, node);
    boolean covered =
        COVERED.stream().anyMatch(top -> found.equals(top) || found.startsWith(top + "/"));
    if (covered || found.equals("/")) {
      throw YamlReader.at(
          node.line(),
          "`"
              + path
              + "`: `"
              + found
              + "` cannot hold files of an image; use another directory,"
              + " such as /work");
    }
    return found;
  }

  private static String wrong(String text) {
    if (!text.startsWith("/")) {
      return "is not absolute";
    }
    if (text.length() > MAX_LENGTH || text.chars().anyMatch(c -> c < ' ' || c == 0x7f)) {
      return "is too long or has control characters";
    }
    String inner = text.endsWith("/") ? text.substring(0, text.length() - 1) : text;
    for (String name : Arrays.asList(inner.split("/", -1)).subList(1, parts(inner))) {
      if (name.isEmpty() || name.equals(".") || name.equals("..")) {
        return "has an empty name, `.` or `..` in it";
      }
      if (name.getBytes(java.nio.charset.StandardCharsets.UTF_8).length > MAX_NAME_BYTES) {
        return "has a name longer than " + MAX_NAME_BYTES + " bytes";
      }
    }
    return "";
  }

  private static int parts(String inner) {
    return inner.split("/", -1).length;
  }

  private static String printable(String text) {
    String clean = text.replaceAll("\\p{Cntrl}", "?");
    return clean.length() <= 80 ? clean : clean.substring(0, 80) + "...";
  }
}
