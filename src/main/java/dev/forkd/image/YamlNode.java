package dev.forkd.image;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A piece of YAML that remembers its line (from 1), so that a mistake can be shown where it is. */
sealed interface YamlNode {
  /** Where it starts. */
  int line();

  /** What it is, for people. */
  String described();

  /**
   * Keys and values in the order of the text.
   *
   * @param keyLines the line of each key
   */
  record Mapping(int line, Map<String, YamlNode> entries, Map<String, Integer> keyLines)
      implements YamlNode {
    public Mapping {
      entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
      keyLines = Map.copyOf(keyLines);
    }

    @Override
    public String described() {
      return "a mapping";
    }
  }

  /** A list. */
  record Sequence(int line, List<YamlNode> items) implements YamlNode {
    public Sequence {
      items = List.copyOf(new ArrayList<>(items));
    }

    @Override
    public String described() {
      return "a list";
    }
  }

  /**
   * One value.
   *
   * @param text as it is written, without quotes
   */
  record Scalar(int line, Type type, String text) implements YamlNode {
    /** What YAML takes the text for. */
    enum Type {
      TEXT("text"),
      INTEGER("a whole number"),
      DECIMAL("a number"),
      FLAG("true or false"),
      NOTHING("empty");

      private final String described;

      Type(String described) {
        this.described = described;
      }
    }

    @Override
    public String described() {
      return type.described;
    }
  }
}
