package dev.forkd.service;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * Names of the snapshots that hold suspended workspaces: {@code ws-<name>-state}, or another while
 * that one is still there.
 */
final class StateTags {
  private static final int MAX_NAME = 55; // 64 without "ws-" and "-state"
  private static final int KEPT = 46;
  private static final int TRIES = 100;

  private StateTags() {}

  /** A free name for a workspace's next state. */
  static Tag next(Tag name, Predicate<Tag> taken) {
    String stem = "ws-" + stem(name);
    return IntStream.range(0, TRIES)
        .mapToObj(i -> new Tag(i == 0 ? stem + "-state" : "%s-st%03d".formatted(stem, i)))
        .filter(taken.negate())
        .findFirst()
        .orElseThrow(() ->
            new ForkdException(
                FailureKind.CONFLICT,
                "workspace %s has %d old states that are still in use: delete what uses %s-…"
                    .formatted(name, TRIES, stem)));
  }

  // Two long names must not share a state because they begin alike.
  private static String stem(Tag name) {
    String text = name.text();
    if (text.length() <= MAX_NAME) {
      return text;
    }
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return text.substring(0, KEPT) + "-" + HexFormat.of().formatHex(digest, 0, 4);
    } catch (NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.INTERNAL, "no SHA-256 in this JDK").thrown(e);
    }
  }
}
