package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;

/** Typed reading of a request's JSON object: unknown fields are ignored, null is absence. */
final class Body {
  private static final double MAX_SECONDS = 365 * 86_400;

  private final JsonNode object;

  /** A document that must be an object. */
  Body(JsonNode document) {
    if (!document.isObject()) {
      throw invalid("the body must be a JSON object");
    }
    this.object = document;
  }

  /** Whether the field is there and not null. */
  boolean has(String name) {
    return field(name).isPresent();
  }

  private Optional<JsonNode> field(String name) {
    JsonNode node = object.get(name);
    return node == null || node.isNull() ? Optional.empty() : Optional.of(node);
  }

  /** A text, if it is there. */
  Optional<String> text(String name) {
    return field(name).map(node -> text(name, node));
  }

  /** A text that must be there. */
  String requireText(String name) {
    return text(name).orElseThrow(() -> invalid("missing field `" + name + "`"));
  }

  private static String text(String name, JsonNode node) {
    if (!node.isString()) {
      throw wrongType(name, "a string");
    }
    return node.stringValue();
  }

  /** A text that will reach a system call. */
  Optional<String> argument(String name) {
    return text(name).map(text -> withoutNul(name, text));
  }

  private static String withoutNul(String name, String text) {
    if (text.indexOf('\0') >= 0) {
      throw invalid("field `" + name + "` must not contain a NUL character");
    }
    return text;
  }

  /** A flag; {@code fallback} when it is not there. */
  boolean flag(String name, boolean fallback) {
    return field(name)
        .map(node -> {
          if (!node.isBoolean()) {
            throw wrongType(name, "true or false");
          }
          return node.booleanValue();
        })
        .orElse(fallback);
  }

  /** Whether the field is a flag rather than something else. */
  boolean isFlag(String name) {
    return field(name).filter(JsonNode::isBoolean).isPresent();
  }

  /** A whole number that is not negative, if it is there. */
  OptionalLong whole(String name) {
    Optional<JsonNode> node = field(name);
    if (node.isEmpty()) {
      return OptionalLong.empty();
    }
    if (!node.get().isIntegralNumber() || !node.get().canConvertToLong()) {
      throw wrongType(name, "a whole number");
    }
    long value = node.get().longValue();
    if (value < 0) {
      throw wrongType(name, "a whole number that is not negative");
    }
    return OptionalLong.of(value);
  }

  /** A number within bounds; {@code fallback} when it is not there. */
  double number(String name, double fallback, double least, double most) {
    return field(name)
        .map(node -> {
          if (!node.isNumber()) {
            throw wrongType(name, "a number");
          }
          double value = node.doubleValue();
          if (!(value >= least && value <= most)) {
            throw invalid(
                "field `%s` is %s; it must be %s to %s"
                    .formatted(name, node, plain(least), plain(most)));
          }
          return value;
        })
        .orElse(fallback);
  }

  private static String plain(double bound) {
    return Long.toString((long) bound);
  }

  /** A time in seconds, fractions allowed; empty when it is not there. */
  Optional<Duration> seconds(String name) {
    return has(name)
        ? Optional.of(Duration.ofMillis(Math.round(number(name, 0, 0, MAX_SECONDS) * 1e3)))
        : Optional.empty();
  }

  /** A map of texts; empty when it is not there. */
  Map<String, String> texts(String name) {
    Map<String, String> texts = new HashMap<>();
    field(name)
        .ifPresent(node -> {
          if (!node.isObject()) {
            throw wrongType(name, "an object of strings");
          }
          node.properties()
              .forEach(entry -> texts.put(entry.getKey(), text(name, entry.getValue())));
        });
    return texts;
  }

  /** An object that must be there. */
  Body object(String name) {
    return field(name)
        .filter(JsonNode::isObject)
        .map(Body::new)
        .orElseThrow(() -> wrongType(name, "an object"));
  }

  /** A list of texts that will reach a system call; empty when it is not there. */
  List<String> arguments(String name) {
    List<String> texts = new ArrayList<>();
    field(name)
        .ifPresent(node -> {
          if (!node.isArray()) {
            throw wrongType(name, "an array of strings");
          }
          node.forEach(item -> texts.add(withoutNul(name, text(name, item))));
        });
    return texts;
  }

  /** A map of environment variables; empty when it is not there. */
  Map<String, String> variables(String name) {
    Map<String, String> variables = new HashMap<>();
    field(name)
        .ifPresent(node -> {
          if (!node.isObject()) {
            throw wrongType(name, "an object of strings");
          }
          node.properties()
              .forEach(entry -> {
                String key = withoutNul(name, entry.getKey());
                if (key.isEmpty() || key.indexOf('=') >= 0) {
                  throw invalid("field `" + name + "` has the name \"" + key + "\"");
                }
                variables.put(key, withoutNul(name, text(name, entry.getValue())));
              });
        });
    return variables;
  }

  private static ForkdException wrongType(String name, String wanted) {
    return invalid("field `" + name + "` must be " + wanted);
  }

  static ForkdException invalid(String message) {
    return new ForkdException(FailureKind.INVALID, message);
  }
}
