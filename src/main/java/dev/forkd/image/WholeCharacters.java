package dev.forkd.image;

import java.io.Reader;

/**
 * A text in pieces, none of which ends in the middle of a character: the YAML scanner fails with an
 * index out of bounds when a piece that fills its buffer ends with half of a surrogate pair.
 */
final class WholeCharacters extends Reader {
  private final String text;
  private int position;

  WholeCharacters(String text) {
    this.text = text;
  }

  @Override
  public int read(char[] buffer, int offset, int length) {
    if (position == text.length()) {
      return -1;
    }
    int end = Math.min(text.length(), position + length);
    if (end - position > 1 && Character.isHighSurrogate(text.charAt(end - 1))) {
      end--;
    }
    text.getChars(position, end, buffer, offset);
    int count = end - position;
    position = end;
    return count;
  }

  @Override
  public void close() {}
}
