package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Matching of raw request paths, exactly: no trailing slash, no dot segments, no folding. */
final class Paths {
  /** At the end of a parameter that takes all that is left, slashes and codes as they are. */
  private static final String REST = "...}";

  private Paths() {}

  /** What is between the slashes; {@code /a/b} has two segments. */
  static List<String> segments(String path) {
    return List.of(path.substring(1).split("/", -1));
  }

  /** The decoded parameters when the path has the template's form. */
  static Optional<Map<String, String>> match(List<String> template, List<String> path) {
    if (template.getLast().endsWith(REST) && path.size() >= template.size()) {
      return matchRest(template, path);
    }
    if (template.size() != path.size()) {
      return Optional.empty();
    }
    Map<String, String> parameters = new HashMap<>();
    for (int i = 0; i < path.size(); i++) {
      String expected = template.get(i);
      String actual = path.get(i);
      if (expected.startsWith("{") && !actual.isEmpty()) {
        parameters.put(expected.substring(1, expected.length() - 1), actual);
      } else if (!expected.equals(actual)) {
        return Optional.empty();
      }
    }
    parameters.replaceAll((name, raw) -> decode(raw));
    return Optional.of(parameters);
  }

  private static Optional<Map<String, String>> matchRest(List<String> template, List<String> path) {
    int last = template.size() - 1;
    String name = template.getLast().substring(1, template.getLast().length() - REST.length());
    return match(template.subList(0, last), path.subList(0, last))
        .map(parameters -> {
          parameters.put(name, String.join("/", path.subList(last, path.size())));
          return parameters;
        });
  }

  /** Percent-decoding of one segment; a plus sign stays one. */
  static String decode(String raw) {
    if (raw.indexOf('%') < 0) {
      return raw;
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(raw.length());
    byte[] text = raw.getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < text.length; i++) {
      if (text[i] != '%') {
        bytes.write(text[i]);
      } else {
        bytes.write(hex(raw, text, i + 1) << 4 | hex(raw, text, i + 2));
        i += 2;
      }
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  private static int hex(String raw, byte[] text, int at) {
    int digit = at < text.length ? Character.digit(text[at], 16) : -1;
    if (digit < 0) {
      throw new ForkdException(
          FailureKind.INVALID, "the path has a malformed percent code in \"" + raw + "\"");
    }
    return digit;
  }
}
