package dev.forkd.model;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/** Words that people put on sandboxes and snapshots to find them again. */
public final class Labels {
  private static final int MAX_LABELS = 64;
  private static final int MAX_VALUE = 256;
  private static final Pattern KEY = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._/-]{0,62}");
  private static final Pattern CONTROL = Pattern.compile("\\p{Cntrl}");

  private Labels() {}

  /**
   * These labels, ordered by key.
   *
   * @throws ForkdException INVALID when there are too many, or one cannot be
   */
  static Map<String, String> checked(Map<String, String> labels) {
    if (labels.size() > MAX_LABELS) {
      throw invalid("there are " + labels.size() + " labels; at most " + MAX_LABELS + " are kept");
    }
    labels.forEach(Labels::check);
    return Collections.unmodifiableMap(new TreeMap<>(labels));
  }

  private static void check(String key, String value) {
    if (!KEY.matcher(key).matches()) {
      throw invalid(
          "a label's key must be 1-63 of A-Z a-z 0-9 . _ / - and begin with a letter or digit");
    }
    if (value.length() > MAX_VALUE || CONTROL.matcher(value).find()) {
      throw invalid(
          "label " + key + ": a value has at most " + MAX_VALUE + " characters, none of control");
    }
  }

  private static ForkdException invalid(String message) {
    return new ForkdException(FailureKind.INVALID, message);
  }
}
