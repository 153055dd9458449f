package dev.forkd.model;

/**
 * What a path is. All of it comes from inside a sandbox.
 *
 * @param name last part of the path; "" where the path itself was asked for
 * @param kind what it is; links are not followed
 * @param bytes length of a file
 * @param mode permission bits
 * @param modifiedNs nanoseconds since 1970
 * @param target what a link leads to, else ""
 */
public record FileInfo(
    String name, Kind kind, long bytes, int mode, long modifiedNs, String target) {
  /** What can be at a path. */
  public enum Kind {
    FILE,
    DIRECTORY,
    LINK,
    OTHER;

    /** The word on the wire. */
    public String word() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }
}
