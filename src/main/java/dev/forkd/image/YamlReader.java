package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;

/**
 * Reads one YAML document into a {@link YamlNode} with the reader's bounds. Anchors and aliases are
 * refused: a recipe has no use for them, and a few lines of them can stand for gigabytes.
 */
final class YamlReader implements AutoCloseable {
  static final int MAX_BYTES = 1 << 20;
  private static final int MAX_DEPTH = 16;
  private static final int MAX_NODES = 20_000;
  private static final YAMLFactory FACTORY = YAMLFactory.builder().build();

  private final YAMLParser parser;
  private int nodes;

  private YamlReader(YAMLParser parser) {
    this.parser = parser;
  }

  /**
   * The document in {@code text}.
   *
   * @throws ForkdException INVALID with the line of what is wrong
   */
  static YamlNode read(String text) {
    if (text.getBytes(StandardCharsets.UTF_8).length > MAX_BYTES) {
      throw new ForkdException(
          FailureKind.INVALID, "recipe: longer than " + (MAX_BYTES >> 20) + " MiB");
    }
    try (YamlReader reader =
        new YamlReader(
            (YAMLParser)
                FACTORY.createParser(ObjectReadContext.empty(), new WholeCharacters(text)))) {
      return reader.document();
    } catch (JacksonException broken) {
      throw malformed(broken);
    }
  }

  @Override
  public void close() {
    parser.close();
  }

  private YamlNode document() {
    JsonToken first = parser.nextToken();
    if (first == null) {
      throw new ForkdException(FailureKind.INVALID, "recipe: the text is empty");
    }
    YamlNode root = node(first, 0);
    if (parser.nextToken() != null) {
      throw at(line(), "only one document is read; remove what follows `---`");
    }
    return root;
  }

  private YamlNode node(JsonToken token, int depth) {
    int line = line();
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) {
      throw at(line, "more than " + MAX_NODES + " values or " + MAX_DEPTH + " levels");
    }
    if (parser.isCurrentAlias() || parser.getObjectId() != null) {
      throw at(line, "anchors and aliases (&name, *name) are not read; write the value out");
    }
    return switch (token) {
      case START_OBJECT -> mapping(line, depth);
      case START_ARRAY -> sequence(line, depth);
      case VALUE_STRING -> scalar(line, YamlNode.Scalar.Type.TEXT);
      case VALUE_NUMBER_INT -> scalar(line, YamlNode.Scalar.Type.INTEGER);
      case VALUE_NUMBER_FLOAT -> scalar(line, YamlNode.Scalar.Type.DECIMAL);
      case VALUE_TRUE, VALUE_FALSE -> scalar(line, YamlNode.Scalar.Type.FLAG);
      case VALUE_NULL -> new YamlNode.Scalar(line, YamlNode.Scalar.Type.NOTHING, "");
      case NOT_AVAILABLE, END_OBJECT, END_ARRAY, PROPERTY_NAME, VALUE_EMBEDDED_OBJECT ->
          throw at(line, "this kind of value is not read; write plain text, numbers or lists");
    };
  }

  private YamlNode.Mapping mapping(int line, int depth) {
    Map<String, YamlNode> entries = new LinkedHashMap<>();
    Map<String, Integer> keyLines = new HashMap<>();
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String key = parser.currentName();
      int keyLine = line();
      Integer earlier = keyLines.putIfAbsent(key, keyLine);
      if (earlier != null) {
        throw at(keyLine, "key `" + key + "` is already set in line " + earlier);
      }
      entries.put(key, node(parser.nextToken(), depth + 1));
    }
    return new YamlNode.Mapping(line, entries, keyLines);
  }

  private YamlNode.Sequence sequence(int line, int depth) {
    List<YamlNode> items = new ArrayList<>();
    JsonToken token = parser.nextToken();
    while (token != JsonToken.END_ARRAY) {
      items.add(node(token, depth + 1));
      token = parser.nextToken();
    }
    return new YamlNode.Sequence(line, items);
  }

  private YamlNode.Scalar scalar(int line, YamlNode.Scalar.Type type) {
    return new YamlNode.Scalar(line, type, parser.getString());
  }

  private int line() {
    return parser.currentTokenLocation().getLineNr();
  }

  /** A mistake in the recipe. */
  static ForkdException at(int line, String message) {
    return new ForkdException(FailureKind.INVALID, "recipe line " + line + ": " + message);
  }

  private static ForkdException malformed(JacksonException broken) {
    String message = broken.getOriginalMessage().lines().findFirst().orElse("not YAML");
    int line = broken.getLocation() == null ? 0 : broken.getLocation().getLineNr();
    return new Failure(FailureKind.INVALID, "recipe line " + line + ": " + message).thrown(broken);
  }
}
