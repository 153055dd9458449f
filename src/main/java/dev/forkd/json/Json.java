package dev.forkd.json;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Reads and writes JSON trees. Thread-safe. */
public final class Json {
  /** Characters of one document at the most. */
  public static final int MAX_CHARS = 64 << 20;

  private static final int MAX_DEPTH = 64;
  private static final int MAX_NUMBER = 100;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_DEPTH)
                          .maxStringLength(MAX_CHARS)
                          .maxDocumentLength(MAX_CHARS)
                          .maxNumberLength(MAX_NUMBER)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private Json() {}

  /**
   * The tree of a UTF-8 document.
   *
   * @throws dev.forkd.model.ForkdException INVALID for anything but exactly one JSON value, a
   *     repeated key, nesting over 64 levels or a document over {@link #MAX_CHARS}
   */
  public static JsonNode parse(byte[] utf8) {
    return parse(new String(utf8, StandardCharsets.UTF_8));
  }

  /** The tree of a document; as {@link #parse(byte[])}. */
  public static JsonNode parse(String text) {
    try {
      JsonNode tree = MAPPER.readTree(text);
      if (tree == null || tree.isMissingNode()) {
        throw new Failure(FailureKind.INVALID, "not JSON: the text is empty").thrown();
      }
      return tree;
    } catch (JacksonException e) {
      throw new Failure(FailureKind.INVALID, "not JSON: " + reason(e)).thrown(e);
    }
  }

  /** A new, empty object. */
  public static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  /** A new, empty array. */
  public static ArrayNode array() {
    return MAPPER.createArrayNode();
  }

  /** The tree as compact text: no spaces, no line breaks. */
  public static String text(JsonNode tree) {
    return MAPPER.writeValueAsString(tree);
  }

  private static String reason(JacksonException e) {
    var at = e.getLocation();
    String where =
        at == null || at.getLineNr() < 1
            ? ""
            : " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
    return e.getOriginalMessage() + where;
  }
}
