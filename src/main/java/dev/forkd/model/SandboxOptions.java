package dev.forkd.model;

import java.time.Duration;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What whoever forks a sandbox says of it.
 *
 * @param name unique among those that run; "" = none. Of a batch of n, each gets {@code name-1} to
 *     {@code name-n}
 * @param labels at most 64, ordered by key
 * @param ttl from the fork, or the last renewal, to its end; zero = for ever
 * @param idle how long it may go without running code before it is ended; zero = for ever
 */
public record SandboxOptions(String name, Map<String, String> labels, Duration ttl, Duration idle) {
  /** The longest time to live or to idle. */
  public static final Duration LONGEST = Duration.ofDays(365);

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]{1,64}");

  /** Nothing said: it lives until somebody ends it. Stands last: making it uses the others. */
  public static final SandboxOptions NONE =
      new SandboxOptions("", Map.of(), Duration.ZERO, Duration.ZERO);

  public SandboxOptions {
    if (!name.isEmpty() && !NAME.matcher(name).matches()) {
      throw invalid("name must be 1-64 chars, ASCII alnum or dash/underscore");
    }
    labels = Labels.checked(labels);
    checkDuration("ttl_secs", ttl);
    checkDuration("idle_timeout_secs", idle);
  }

  private static void checkDuration(String field, Duration value) {
    if (value.isNegative() || value.compareTo(LONGEST) > 0) {
      throw invalid(field + " must be 0 (for ever) to " + LONGEST.toSeconds());
    }
  }

  /** The options of the child at that place, from 0, of a batch of n. */
  public SandboxOptions child(int index, int n) {
    return name.isEmpty() || n == 1
        ? this
        : new SandboxOptions(name + "-" + (index + 1), labels, ttl, idle);
  }

  /** These options with other times. */
  public SandboxOptions with(Duration newTtl, Duration newIdle) {
    return new SandboxOptions(name, labels, newTtl, newIdle);
  }

  private static ForkdException invalid(String message) {
    return new ForkdException(FailureKind.INVALID, message);
  }
}
