package dev.forkd.cli;

import dev.forkd.json.Json;
import tools.jackson.databind.node.ObjectNode;

/**
 * One thing that the doctor looked at.
 *
 * @param name what
 * @param verdict how it is
 * @param text what was found
 * @param remedy what to do about it; "" when there is nothing to do
 */
record Check(String name, Verdict verdict, String text, String remedy) {
  /** How a thing is. */
  enum Verdict {
    PASS("✓"),
    WARN("⚠"),
    FAIL("✗"),
    SKIP("·");

    private final String glyph;

    Verdict(String glyph) {
      this.glyph = glyph;
    }

    String glyph() {
      return glyph;
    }

    String word() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  static Check pass(String name, String text) {
    return new Check(name, Verdict.PASS, text, "");
  }

  static Check warn(String name, String text, String remedy) {
    return new Check(name, Verdict.WARN, text, remedy);
  }

  static Check fail(String name, String text, String remedy) {
    return new Check(name, Verdict.FAIL, text, remedy);
  }

  static Check skip(String name, String text) {
    return new Check(name, Verdict.SKIP, text, "");
  }

  /** As {@code doctor --json} prints it. */
  ObjectNode json() {
    return Json.object()
        .put("name", name)
        .put("verdict", verdict.word())
        .put("text", text)
        .put("remedy", remedy);
  }
}
