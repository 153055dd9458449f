package dev.forkd.service;

import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The snapshots and what state each is in: being written, cold, warm or failed.
 *
 * <p>All of it is guarded by this object's monitor, which is never held while an engine or an image
 * build works; the registry is written under it, so that memory and disk tell the same.
 */
final class Snapshots {
  private static final Logger LOG = LoggerFactory.getLogger(Snapshots.class);

  private final Parts parts;
  private final ImagesInUse images;
  private final Rewarming rewarming;
  private final Bootable bootable;
  private final Map<Tag, Snapshot> snapshots = new TreeMap<>();
  private final Map<Tag, SnapshotRow> writing = new TreeMap<>();
  private final Map<Tag, Integer> sandboxes = new HashMap<>();
  private boolean closed;

  /** Makes the template of a cold snapshot. */
  interface Warmer {
    /** Its stored image; one of another digest when that is gone and its sources have changed. */
    RootImage image(SnapshotRow row);

    /**
     * Warms it on that image, or makes it live from its files.
     *
     * @param chain the directories of those that it needs, the eldest first, and its own
     */
    Warming.Warmed warm(SnapshotRow row, RootImage image, List<Path> chain);
  }

  Snapshots(Parts parts, Warmer warmer, ImagesInUse images) {
    this.parts = parts;
    this.images = images;
    this.rewarming = new Rewarming(this, warmer, images);
    this.bootable = new Bootable(parts.files());
  }

  /** Takes over what earlier daemons left: nothing is warm, what was being written has failed. */
  synchronized void load() {
    Bootable.takeOver(parts).forEach(row -> snapshots.put(row.tag(), new Snapshot(row)));
    LOG.info("event=snapshots_loaded n={}", snapshots.size());
  }

  /** By tag, but those that clients can use for Python come first: some take the first one. */
  synchronized List<SnapshotInfo> list() {
    Map<Tag, SnapshotInfo> infos = new TreeMap<>();
    writing.values().forEach(row -> infos.put(row.tag(), info(row, false)));
    snapshots.values().forEach(snapshot -> infos.put(snapshot.row.tag(), info(snapshot)));
    return infos.values().stream()
        .sorted(Comparator.comparing(info -> !info.bootable() || info.report().equals("{}")))
        .toList();
  }

  /** Those that a snapshot needs, the eldest first. */
  synchronized List<SnapshotRow> ancestors(SnapshotRow row) {
    return Kin.ancestors(row, this::find);
  }

  /** The row of a snapshot. */
  synchronized Optional<SnapshotRow> find(Tag tag) {
    return Optional.ofNullable(snapshots.get(tag))
        .map(snapshot -> snapshot.row)
        .or(() -> Optional.ofNullable(writing.get(tag)));
  }

  /** Whether a snapshot of that tag has that template now. */
  synchronized boolean holds(Tag tag, WarmTemplate template) {
    Snapshot snapshot = snapshots.get(tag);
    return snapshot != null && snapshot.live.filter(live -> live == template).isPresent();
  }

  synchronized SnapshotInfo get(Tag tag) {
    return Optional.ofNullable(snapshots.get(tag))
        .map(this::info)
        .or(() -> find(tag).map(row -> info(row, false)))
        .orElseThrow(() -> SnapshotRefusal.notFound(tag));
  }

  synchronized int parked() {
    return snapshots.values().stream()
        .flatMap(snapshot -> snapshot.live.stream())
        .mapToInt(live -> live.pool().parked())
        .sum();
  }

  /**
   * Reserves a tag for a snapshot that is about to be made.
   *
   * @throws ForkdException CONFLICT when the tag is taken
   */
  synchronized void begin(SnapshotRow row, boolean replace) {
    checkOpen();
    Tag tag = row.tag();
    if (free(tag, replace)) {
      parts.registry().put(row, parts.event("snapshot.writing", tag.text(), ""));
    }
    writing.put(tag, row);
    LOG.info("event=snapshot_writing tag={} engine={}", tag, row.engine().word());
  }

  /** Fails when a snapshot of that tag must not be made; false when a new one replaces another. */
  synchronized boolean free(Tag tag, boolean replace) {
    if (writing.containsKey(tag)) {
      throw SnapshotRefusal.busy(tag);
    }
    Optional<Snapshot> old = Optional.ofNullable(snapshots.get(tag));
    if (old.isPresent() && old.get().row.status() == SnapshotStatus.READY) {
      if (!replace) {
        throw SnapshotRefusal.taken(tag);
      }
      checkUnused(old.get(), "replaced");
      checkIndependent(tag, "replaced");
    }
    return old.isEmpty();
  }

  /** Makes a snapshot that {@link #begin} announced visible, in place of an earlier one. */
  void commit(SnapshotRow ready, WarmTemplate template) {
    Optional<Snapshot> old;
    synchronized (this) {
      checkOpen();
      parts.registry().put(ready, parts.event("snapshot.ready", ready.tag().text(), ""));
      writing.remove(ready.tag());
      Snapshot fresh = new Snapshot(ready);
      old = Optional.ofNullable(snapshots.put(ready.tag(), fresh));
      install(fresh, template);
    }
    old.ifPresent(this::letGo);
    LOG.info("event=snapshot_ready tag={} ms={}", ready.tag(), ready.warmMs().orElse(0));
  }

  /** Notes how long the sandbox stood still of which a snapshot is being written. */
  synchronized SnapshotInfo paused(Tag tag, long millis) {
    SnapshotRow row = Optional.ofNullable(writing.get(tag)).orElseThrow().paused(millis);
    writing.put(tag, row);
    return info(row, false);
  }

  /** Makes what {@link #begin} announced a failed snapshot, for whoever waits for it. */
  synchronized void fail(Tag tag, String why) {
    SnapshotRow row = Optional.ofNullable(writing.remove(tag)).orElseThrow().failed(why);
    parts.files().delete(tag); // first: where the disk is full it makes room for the registry
    parts.registry().put(row, parts.event("snapshot.failed", tag.text(), why));
    snapshots.put(tag, new Snapshot(row));
    LOG.warn("event=snapshot_failed tag={} reason=\"{}\"", tag, why);
  }

  /** Takes back what {@link #begin} announced; an earlier snapshot of that tag stays. */
  synchronized void abort(Tag tag, String why) {
    writing.remove(tag);
    if (!snapshots.containsKey(tag)) {
      parts.files().delete(tag); // first, as in fail
      parts.registry().remove(tag, parts.event("snapshot.failed", tag.text(), why));
    }
    LOG.warn("event=snapshot_failed tag={} reason=\"{}\"", tag, why);
  }

  /**
   * The right to fork a snapshot.
   *
   * @throws ForkdException NOT_FOUND, or CONFLICT when it is not ready
   */
  synchronized Lease lease(Tag tag) {
    checkOpen();
    Snapshot snapshot = snapshots.get(tag);
    if (snapshot == null) {
      if (writing.containsKey(tag)) {
        throw SnapshotRefusal.notBootable(tag, "status=Writing; wait until it is ready");
      }
      throw SnapshotRefusal.notFound(tag);
    }
    SnapshotRow row = checked(snapshot);
    if (row.status() != SnapshotStatus.READY) {
      throw SnapshotRefusal.failed(row);
    }
    snapshot.forks++;
    return new Lease(this, snapshot, snapshot.row);
  }

  synchronized void returned(Snapshot snapshot) {
    snapshot.forks--;
  }

  /** Counts live sandboxes of a snapshot, which keep it from being deleted. */
  synchronized void sandboxes(Tag tag, int change) {
    sandboxes.merge(tag, change, Integer::sum);
    sandboxes.remove(tag, 0);
  }

  /** The template of a leased snapshot, acquired for the caller. */
  WarmTemplate template(Snapshot snapshot) {
    return acquired(snapshot).orElseGet(() -> rewarming.template(snapshot));
  }

  synchronized Optional<WarmTemplate> acquired(Snapshot snapshot) {
    snapshot.live.ifPresent(WarmTemplate::acquire);
    return snapshot.live;
  }

  /** Makes a cold snapshot warm; the template is acquired for the caller. */
  synchronized void warmed(Snapshot snapshot, Warming.Warmed warmed) {
    checkOpen();
    checkCurrent(snapshot);
    WarmTemplate template = warmed.template();
    Tag tag = snapshot.row.tag();
    snapshot.row =
        snapshot.row.warmed(warmed.digest(), warmed.millis(), template.template().report());
    parts.registry().put(snapshot.row, parts.event("snapshot.warmed", tag.text(), ""));
    template.acquire();
    install(snapshot, template);
  }

  /** Makes a snapshot one that can never be forked again. */
  synchronized void failed(Snapshot snapshot, String why) {
    checkOpen();
    checkCurrent(snapshot);
    Tag tag = snapshot.row.tag();
    snapshot.row = snapshot.row.failed(why);
    parts.registry().put(snapshot.row, parts.event("snapshot.failed", tag.text(), why));
    LOG.warn("event=snapshot_failed tag={} reason=\"{}\"", tag, why);
  }

  // A snapshot may have been replaced, or deleted by force, while it was warmed.
  private void checkCurrent(Snapshot snapshot) {
    Tag tag = snapshot.row.tag();
    if (snapshots.get(tag) != snapshot) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "snapshot " + tag + " was replaced or deleted meanwhile: try again");
    }
  }

  /** Takes over the live template of a snapshot from an earlier daemon. */
  synchronized void adopted(Tag tag, WarmTemplate template) {
    install(Optional.ofNullable(snapshots.get(tag)).orElseThrow(), template);
    parts.registry().note(parts.event("template.adopted", tag.text(), ""));
  }

  private void install(Snapshot snapshot, WarmTemplate template) {
    snapshot.live = Optional.of(template);
    parts.keep(snapshot.row.engine(), snapshot.row.tag(), template.template());
    template
        .template()
        .ended()
        .thenAccept(why -> Thread.startVirtualThread(() -> cooled(snapshot, template, why)));
    template.pool().refill();
  }

  private void cooled(Snapshot snapshot, WarmTemplate template, String why) {
    synchronized (this) {
      if (snapshot.live.filter(live -> live == template).isPresent()) {
        snapshot.live = Optional.empty();
        lose(snapshot, why);
      }
      Tag tag = snapshot.row.tag();
      LOG.warn("event=template_ended tag={} reason=\"{}\"", tag, why);
      parts.registry().note(parts.event("template.ended", tag.text(), why));
    }
    template.retire();
  }

  // A snapshot that was nothing but its template cannot be had again.
  private void lose(Snapshot snapshot, String why) {
    Tag tag = snapshot.row.tag();
    if (Bootable.inMemory(snapshot.row) && snapshots.get(tag) == snapshot && !closed) {
      failed(snapshot, "it lived in memory only, and its template ended: " + why);
    }
  }

  /** Snapshots that need the one of that tag directly. */
  synchronized List<Tag> dependents(Tag tag) {
    return Kin.dependents(
        tag,
        Stream.concat(
                snapshots.values().stream().map(snapshot -> snapshot.row),
                writing.values().stream())
            .toList());
  }

  /**
   * Removes a snapshot.
   *
   * @param force although sandboxes live or snapshots derive from it: the sandboxes live on
   */
  void delete(Tag tag, boolean force) {
    Snapshot snapshot;
    synchronized (this) {
      snapshot = Optional.ofNullable(snapshots.get(tag)).orElseThrow(() -> notFoundNow(tag));
      if (writing.containsKey(tag)) {
        throw new ForkdException(
            FailureKind.CONFLICT, "snapshot " + tag + " is being replaced; retry once it is done");
      }
      if (!force) {
        checkUnused(snapshot, "deleted");
        checkIndependent(tag, "deleted");
      }
      parts.registry().remove(tag, parts.event("snapshot.deleted", tag.text(), ""));
      snapshots.remove(tag);
      parts.files().delete(tag);
    }
    letGo(snapshot);
    LOG.info("event=snapshot_deleted tag={} force={}", tag, force);
  }

  /** The image stays below the sandboxes that are mounted on it until the last of them is gone. */
  private void letGo(Snapshot snapshot) {
    snapshot.live.ifPresentOrElse(
        WarmTemplate::retire, () -> images.drop(snapshot.row.imageDigest()));
  }

  private ForkdException notFoundNow(Tag tag) {
    return writing.containsKey(tag)
        ? new ForkdException(
            FailureKind.CONFLICT, "snapshot " + tag + " is being written; retry once it is done")
        : SnapshotRefusal.notFound(tag);
  }

  private void checkUnused(Snapshot snapshot, String verb) {
    Tag tag = snapshot.row.tag();
    int live = sandboxes.getOrDefault(tag, 0);
    if (snapshot.forks > 0 || live > 0) {
      throw SnapshotRefusal.inUse(tag, verb, Math.max(live, 1));
    }
  }

  private void checkIndependent(Tag tag, String verb) {
    List<Tag> dependents = dependents(tag);
    if (!dependents.isEmpty()) {
      throw SnapshotRefusal.needed(tag, verb, dependents);
    }
  }

  /** No new forks, and every template ended but those of engines that keep them. */
  void close(Predicate<EngineName> kept) {
    List<WarmTemplate> live = new ArrayList<>();
    List<WarmTemplate> left = new ArrayList<>();
    synchronized (this) {
      closed = true;
      for (Snapshot snapshot : snapshots.values()) {
        snapshot.live.ifPresent((kept.test(snapshot.row.engine()) ? left : live)::add);
        snapshot.live = Optional.empty();
      }
    }
    Together.each(left, template -> template.pool().close());
    Together.each(live, WarmTemplate::retire);
  }

  private void checkOpen() {
    if (closed) {
      throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon is stopping");
    }
  }

  private SnapshotInfo info(Snapshot snapshot) {
    return info(checked(snapshot), snapshot.live.isPresent());
  }

  private SnapshotRow checked(Snapshot snapshot) {
    return bootable.checked(snapshot.row, snapshot.live.isPresent(), this::find);
  }

  private SnapshotInfo info(SnapshotRow row, boolean warm) {
    return Snapshot.describe(row, warm, sandboxes.getOrDefault(row.tag(), 0));
  }
}
