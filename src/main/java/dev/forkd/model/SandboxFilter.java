package dev.forkd.model;

import java.util.Map;
import java.util.Optional;

/**
 * Which sandboxes a list shows.
 *
 * @param all whether also those that have ended by themselves
 * @param tag only those of this snapshot
 * @param name only the one of this name; "" = any
 * @param labels each must be there with this value
 * @param after only ids behind this one: the last of the page before; "" = from the start
 * @param limit ids at the most; 0 = all
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record SandboxFilter(
    boolean all,
    Optional<Tag> tag,
    String name,
    Map<String, String> labels,
    String after,
    int limit) {
  /** Those that run, all of them. */
  public static final SandboxFilter RUNNING = of(false);

  public SandboxFilter {
    labels = Map.copyOf(labels);
    if (limit < 0) {
      throw new ForkdException(FailureKind.INVALID, "limit must not be negative");
    }
  }

  /** No filter but whether ended ones are shown. */
  public static SandboxFilter of(boolean all) {
    return new SandboxFilter(all, Optional.empty(), "", Map.of(), "", 0);
  }

  /** Whether it shows a sandbox of that snapshot, with those options. */
  public boolean shows(SandboxId id, Tag snapshot, SandboxOptions options) {
    return id.text().compareTo(after) > 0
        && tag.map(snapshot::equals).orElse(true)
        && (name.isEmpty() || name.equals(options.name()))
        && options.labels().entrySet().containsAll(labels.entrySet());
  }
}
