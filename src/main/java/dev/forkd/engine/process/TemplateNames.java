package dev.forkd.engine.process;

import dev.forkd.model.Tag;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Names of templates below one launcher: never twice, and with the tag for whoever reads a log. */
final class TemplateNames {
  private static final int TAG_LENGTH = 40;

  private static final Pattern NUMBERED = Pattern.compile("t([0-9]{1,18})-");

  private final AtomicLong count = new AtomicLong();

  /** From now on no name is given that a template has, or may have had, which was found. */
  void after(String name) {
    Matcher number = NUMBERED.matcher(name);
    if (number.lookingAt()) {
      count.accumulateAndGet(Long.parseLong(number.group(1)), Math::max);
    }
  }

  String next(Tag tag) {
    String text = tag.text();
    String part = text.substring(0, Math.min(TAG_LENGTH, text.length()));
    return "t%d-%s".formatted(count.incrementAndGet(), part);
  }
}
