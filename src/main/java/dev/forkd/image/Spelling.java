package dev.forkd.image;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/** Finds what somebody meant who wrote a word wrongly. */
final class Spelling {
  private Spelling() {}

  /** The known word closest to {@code word}, if any is close enough to be meant. */
  static Optional<String> nearest(String word, List<String> known) {
    int tolerated = Math.max(1, Math.min(3, word.length() / 2));
    return known.stream()
        .filter(candidate -> distance(word, candidate) <= tolerated)
        .min(Comparator.comparingInt(candidate -> distance(word, candidate)));
  }

  /** Levenshtein distance, by rows of its matrix. */
  private static int distance(String left, String right) {
    int[] row = new int[right.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= left.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j < row.length; j++) {
        int substitution = diagonal + (left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substitution, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[right.length()];
  }
}
