package dev.forkd.model;

import java.util.regex.Pattern;

/**
 * The name of a snapshot. Only a value of this type may become part of a path.
 *
 * @param text 1 to 64 characters of {@code A-Z a-z 0-9 _ -}
 */
public record Tag(String text) implements Comparable<Tag> {
  private static final Pattern FORM = Pattern.compile("[A-Za-z0-9_-]{1,64}");

  public Tag {
    if (!FORM.matcher(text).matches()) {
      throw new ForkdException(
          FailureKind.INVALID, "tag must be 1-64 chars, ASCII alnum or dash/underscore");
    }
  }

  /** The tag in a field of a request; the field's name starts the message when it is malformed. */
  public static Tag of(String field, String text) {
    if (!FORM.matcher(text).matches()) {
      throw new ForkdException(
          FailureKind.INVALID, field + " must be 1-64 chars, ASCII alnum or dash/underscore");
    }
    return new Tag(text);
  }

  /** Whether a text has the form of a tag. */
  public static boolean fits(String text) {
    return FORM.matcher(text).matches();
  }

  @Override
  public int compareTo(Tag other) {
    return text.compareTo(other.text);
  }

  @Override
  public String toString() {
    return text;
  }
}
