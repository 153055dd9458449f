package dev.forkd.archive;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.ArrayList;
import java.util.List;

/** Names of an archive's entries: only those that stay inside the tree. */
final class InsideName {
  private static final int MAX_LENGTH = 4096;
  private static final int MAX_DEPTH = 128;

  private InsideName() {}

  /**
   * The name without {@code .} and doubled slashes; "" for the tree itself.
   *
   * @throws ForkdException INVALID for an absolute name, one with {@code ..} or NUL, or one that is
   *     too long or too deep
   */
  static String of(String name) {
    if (name.startsWith("/")) {
      throw refused(name, "is absolute");
    }
    if (name.indexOf('\0') >= 0 || name.length() > MAX_LENGTH) {
      throw refused(name, "is malformed");
    }
    List<String> parts = new ArrayList<>();
    for (String part : name.split("/")) {
      if (part.equals("..")) {
        throw refused(name, "leads outside");
      }
      if (!part.isEmpty() && !part.equals(".")) {
        parts.add(part);
      }
    }
    if (parts.size() > MAX_DEPTH) {
      throw refused(name, "is more than " + MAX_DEPTH + " deep");
    }
    return String.join("/", parts);
  }

  /**
   * Checks that a link leads to a place in the tree.
   *
   * @param name of the link, checked already
   */
  static void checkLink(String name, String target) {
    if (target.startsWith("/") || target.isEmpty() || target.indexOf('\0') >= 0) {
      throw refused(name, "is a link to outside");
    }
    int depth = name.split("/").length - 1;
    for (String part : target.split("/")) {
      depth += part.equals("..") ? -1 : part.isEmpty() || part.equals(".") ? 0 : 1;
      if (depth < 0) {
        throw refused(name, "is a link to outside");
      }
    }
  }

  static ForkdException refused(String name, String why) {
    String shown = name.replaceAll("\\p{Cntrl}", "?");
    String cut = shown.length() <= 200 ? shown : shown.substring(0, 200) + "...";
    return new ForkdException(
        FailureKind.INVALID, "archive entry \"" + cut + "\" " + why + ", and is refused");
  }
}
