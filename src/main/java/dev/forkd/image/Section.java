package dev.forkd.image;

import dev.forkd.model.ForkdException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;

/** One mapping of a recipe with the keys that it may have; every other key is refused. */
final class Section {
  static final int MAX_ITEMS = 1000;

  private final String path;
  private final YamlNode.Mapping mapping;

  /**
   * @param path where it stands, such as {@code warm}; "" for the whole recipe
   * @throws ForkdException INVALID for something that is no mapping, or an unknown key
   */
  Section(String path, YamlNode node, String... keys) {
    this.path = path;
    this.mapping = mappingOf(path, node);
    for (Map.Entry<String, Integer> key : mapping.keyLines().entrySet()) {
      if (!List.of(keys).contains(key.getKey())) {
        throw YamlReader.at(key.getValue(), unknown(key.getKey(), keys));
      }
    }
  }

  private static YamlNode.Mapping mappingOf(String path, YamlNode node) {
    if (node instanceof YamlNode.Mapping found) {
      return found;
    }
    if (node instanceof YamlNode.Scalar(int line, YamlNode.Scalar.Type type, String _)
        && type == YamlNode.Scalar.Type.NOTHING) {
      return new YamlNode.Mapping(line, Map.of(), Map.of());
    }
    String what = path.isEmpty() ? "a recipe" : "`" + path + "`";
    throw YamlReader.at(
        node.line(), what + " must be a mapping (key: value), but is " + node.described());
  }

  private String unknown(String key, String... keys) {
    String place = path.isEmpty() ? "" : " in `" + path + "`";
    return "unknown key `"
        + key
        + "`"
        + place
        + Spelling.nearest(key, List.of(keys))
            .map(near -> "; did you mean `" + near + "`?")
            .orElse("; known are " + String.join(", ", keys));
  }

  /** The line where it starts. */
  int line() {
    return mapping.line();
  }

  /** The line of that key, or where the section starts. */
  int line(String key) {
    return mapping.keyLines().getOrDefault(key, mapping.line());
  }

  /** Whether nothing is in it. */
  boolean isEmpty() {
    return mapping.entries().isEmpty();
  }

  /** The value of that key, unless it is absent or empty. */
  Optional<YamlNode> node(String key) {
    return Optional.ofNullable(mapping.entries().get(key)).filter(node -> !isNothing(node));
  }

  /** Whether the key is there, empty or not. */
  boolean has(String key) {
    return mapping.entries().containsKey(key);
  }

  /** The value as it stands, empty or not. */
  YamlNode require(String key) {
    return Optional.ofNullable(mapping.entries().get(key))
        .orElseThrow(() -> YamlReader.at(line(), "`" + at(key) + "` is missing"));
  }

  /** The text of that key, or "". */
  String text(String key) {
    return node(key).map(node -> textOf(at(key), node)).orElse("");
  }

  /** The whole number of that key. */
  Optional<Long> integer(String key) {
    return node(key).map(node -> integerOf(at(key), node));
  }

  /** {@code true} or {@code on}, {@code false} or {@code off}. */
  boolean flag(String key, boolean fallback) {
    return node(key).map(node -> flagOf(at(key), node)).orElse(fallback);
  }

  private static boolean flagOf(String path, YamlNode node) {
    String text = node instanceof YamlNode.Scalar scalar ? scalar.text() : "";
    return switch (text) {
      case "on", "true" -> true;
      case "off", "false" -> false;
      default -> throw wrongType(path, node, "on or off");
    };
  }

  /** The texts of a list; a single text stands for a list of one. */
  List<String> texts(String key) {
    return items(key, Section::textOf);
  }

  /** The values of a list, each read by {@code reader} from its path and node. */
  <T> List<T> items(String key, BiFunction<String, YamlNode, T> reader) {
    Optional<YamlNode> found = node(key);
    if (found.isEmpty()) {
      return List.of();
    }
    if (!(found.get() instanceof YamlNode.Sequence sequence)) {
      return List.of(reader.apply(at(key), found.get()));
    }
    if (sequence.items().size() > MAX_ITEMS) {
      throw YamlReader.at(sequence.line(), "`" + at(key) + "` has more than " + MAX_ITEMS);
    }
    List<T> values = new ArrayList<>();
    for (YamlNode item : sequence.items()) {
      values.add(reader.apply(at(key) + "[" + values.size() + "]", item));
    }
    return values;
  }

  /** Keys and single values, as texts; numbers and flags as they are written. */
  Map<String, String> values(String key) {
    Map<String, String> values = new LinkedHashMap<>();
    node(key)
        .map(node -> mappingOf(at(key), node))
        .ifPresent(found ->
            found
                .entries()
                .forEach((name, node) -> values.put(name, valueOf(at(key), name, node))));
    return values;
  }

  private static String valueOf(String path, String name, YamlNode node) {
    if (node instanceof YamlNode.Scalar scalar && !isNothing(node)) {
      return scalar.text();
    }
    throw wrongType(path + "." + name, node, "text (use \"\" for the empty text)");
  }

  static String textOf(String path, YamlNode node) {
    if (node instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Scalar.Type.TEXT) {
      return scalar.text();
    }
    throw wrongType(path, node, "text");
  }

  static long integerOf(String path, YamlNode node) {
    if (node instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Scalar.Type.INTEGER) {
      try {
        return Long.parseLong(scalar.text());
      } catch (NumberFormatException odd) {
        throw YamlReader.at(
            node.line(), "`" + path + "`: " + scalar.text() + " is out of range or not decimal");
      }
    }
    throw wrongType(path, node, "a whole number");
  }

  static ForkdException wrongType(String path, YamlNode node, String wanted) {
    return YamlReader.at(
        node.line(), "`" + path + "` must be " + wanted + ", but is " + node.described());
  }

  private static boolean isNothing(YamlNode node) {
    return node instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Scalar.Type.NOTHING;
  }

  /** The path of a key in this section. */
  String at(String key) {
    return path.isEmpty() ? key : path + "." + key;
  }
}
