package dev.forkd.engine.process;

import dev.forkd.model.Tag;
import java.util.concurrent.atomic.AtomicLong;

/** Names of templates below one launcher: never twice, and with the tag for whoever reads a log. */
final class TemplateNames {
  private static final int TAG_LENGTH = 40;

  private final AtomicLong count = new AtomicLong();

  String next(Tag tag) {
    String text = tag.text();
    String part = text.substring(0, Math.min(TAG_LENGTH, text.length()));
    return "t%d-%s".formatted(count.incrementAndGet(), part);
  }
}
