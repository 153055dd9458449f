package dev.forkd.store;

import java.util.Map;
import java.util.stream.Collectors;

/** Labels as they lie in a column. Neither keys nor values hold a line's end, and keys no "=". */
final class LabelLines {
  private LabelLines() {}

  static String write(Map<String, String> labels) {
    return labels.entrySet().stream()
        .map(label -> label.getKey() + "=" + label.getValue())
        .collect(Collectors.joining("\n"));
  }

  static Map<String, String> read(String lines) {
    return lines
        .lines()
        .map(line -> line.split("=", 2))
        .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
  }
}
