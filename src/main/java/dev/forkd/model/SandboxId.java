package dev.forkd.model;

import java.util.regex.Pattern;

/**
 * The name of a sandbox: {@code sb-<unix seconds, hex>-<sequence, at least 4 hex digits>}. Ids that
 * forkd makes have that form; any text of the same alphabet is accepted when one is looked up.
 *
 * @param text 1 to 64 characters of {@code A-Z a-z 0-9 _ -}
 */
public record SandboxId(String text) implements Comparable<SandboxId> {
  private static final Pattern FORM = Pattern.compile("[A-Za-z0-9_-]{1,64}");

  public SandboxId {
    if (!FORM.matcher(text).matches()) {
      throw new ForkdException(FailureKind.NOT_FOUND, "sandbox " + printable(text) + " not found");
    }
  }

  /** The id with that creation time and number. */
  public static SandboxId of(long unixSeconds, long sequence) {
    return new SandboxId("sb-%x-%04x".formatted(unixSeconds, sequence));
  }

  private static String printable(String text) {
    String clean = text.replaceAll("[^\\x20-\\x7e]", "?");
    return clean.length() <= 64 ? clean : clean.substring(0, 64) + "...";
  }

  @Override
  public int compareTo(SandboxId other) {
    return text.compareTo(other.text);
  }

  @Override
  public String toString() {
    return text;
  }
}
