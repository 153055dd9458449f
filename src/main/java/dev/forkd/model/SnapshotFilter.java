package dev.forkd.model;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Which snapshots a list shows. Without a page the order is the list's own: those first that can be
 * forked into a Python. Pages are in the order of tags, so that none is shown twice or not at all.
 *
 * @param status only those of this state
 * @param labels each must be there with this value
 * @param recipe only those of the recipe of that name; "" = any
 * @param after only tags behind this one: the last of the page before; "" = from the start
 * @param limit snapshots at the most; 0 = all
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record SnapshotFilter(
    Optional<SnapshotStatus> status,
    Map<String, String> labels,
    String recipe,
    String after,
    int limit) {
  /** All of them. */
  public static final SnapshotFilter ALL =
      new SnapshotFilter(Optional.empty(), Map.of(), "", "", 0);

  public SnapshotFilter {
    labels = Map.copyOf(labels);
    if (limit < 0) {
      throw new ForkdException(FailureKind.INVALID, "limit must not be negative");
    }
  }

  /** What it shows of a list. */
  public List<SnapshotInfo> of(List<SnapshotInfo> all) {
    List<SnapshotInfo> shown =
        all.stream()
            .filter(info -> status.map(info.status()::equals).orElse(true))
            .filter(info -> info.marks().labels().entrySet().containsAll(labels.entrySet()))
            .filter(info -> recipe.isEmpty() || recipe.equals(info.recipe()))
            .filter(info -> info.tag().text().compareTo(after) > 0)
            .toList();
    if (limit == 0 && after.isEmpty()) {
      return shown;
    }
    return shown.stream()
        .sorted(Comparator.comparing((SnapshotInfo info) -> info.tag().text()))
        .limit(limit == 0 ? Long.MAX_VALUE : limit)
        .toList();
  }
}
