package dev.forkd.cli;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.ArrayList;
import java.util.List;

/** A command line cut into words: quotes group, a backslash takes the next character as it is. */
final class Words {
  private Words() {}

  /**
   * The words.
   *
   * @throws ForkdException INVALID when a quote is not closed
   */
  static List<String> split(String line) {
    List<String> words = new ArrayList<>();
    StringBuilder word = new StringBuilder();
    boolean inside = false;
    char quote = 0;
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (c == '\\' && quote != '\'' && i + 1 < line.length()) {
        word.append(line.charAt(++i));
        inside = true;
      } else if (quote != 0) {
        if (c == quote) {
          quote = 0;
        } else {
          word.append(c);
        }
      } else if (c == '"' || c == '\'') {
        quote = c;
        inside = true;
      } else if (!Character.isWhitespace(c)) {
        word.append(c);
        inside = true;
      } else if (inside) {
        words.add(word.toString());
        word.setLength(0);
        inside = false;
      }
    }
    if (quote != 0) {
      throw new ForkdException(FailureKind.INVALID, "a quote is not closed in: " + line);
    }
    if (inside) {
      words.add(word.toString());
    }
    return words;
  }
}
