package dev.forkd.cli;

import tools.jackson.databind.JsonNode;

/** Fields of a JSON object as lines {@code name: value}, which scripts read. */
final class Facts {
  private Facts() {}

  /** One line for each of the named fields; an absent one and what is empty are "-". */
  static void show(Session session, JsonNode object, String... names) {
    int width = 0;
    for (String name : names) {
      width = Math.max(width, name.length() + 1);
    }
    for (String name : names) {
      String label = name + ":";
      session.say(label + " ".repeat(width - label.length() + 1) + text(object.path(name)));
    }
  }

  private static String text(JsonNode value) {
    if (value.isObject()) {
      StringBuilder pairs = new StringBuilder();
      value
          .properties()
          .forEach(pair ->
              pairs
                  .append(pairs.isEmpty() ? "" : " ")
                  .append(pair.getKey())
                  .append('=')
                  .append(pair.getValue().asString("")));
      return pairs.isEmpty() ? "-" : Table.printable(pairs.toString());
    }
    if (value.isArray()) {
      StringBuilder items = new StringBuilder();
      value.forEach(item -> items.append(items.isEmpty() ? "" : " ").append(item.asString("")));
      return items.isEmpty() ? "-" : Table.printable(items.toString());
    }
    return value.isMissingNode() || value.isNull() ? "-" : Table.printable(value.asString("-"));
  }
}
