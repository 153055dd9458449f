package dev.forkd.service;

import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SandboxOptions;
import dev.forkd.model.Tag;
import dev.forkd.store.SandboxRow;
import dev.forkd.store.Terms;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sandboxes that somebody was given: running ones, and the last ones that ended by themselves.
 * Guarded by this object's monitor, which is never held while a guest is talked to.
 */
final class Sandboxes {
  /** Ended sandboxes remembered; older ones are forgotten. */
  static final int MAX_ENDED = 1000;

  private static final Logger LOG = LoggerFactory.getLogger(Sandboxes.class);
  private static final int MAX_REASON = 500;

  private final Parts parts;
  private final Snapshots snapshots;
  private final DetachedPrograms detached;
  private final Metrics metrics;
  private final Map<SandboxId, Sandbox> sandboxes = new TreeMap<>();
  private final Deque<SandboxId> ended = new ArrayDeque<>();
  private boolean closed;

  Sandboxes(Parts parts, Snapshots snapshots, DetachedPrograms detached, Metrics metrics) {
    this.detached = detached;
    this.parts = parts;
    this.snapshots = snapshots;
    this.metrics = metrics;
  }

  /**
   * Takes over the journal of earlier daemons. Of those that somebody was given the adopted ones
   * run on and the others are remembered as ended; the rest is struck out.
   */
  void load(Map<SandboxId, Adoption.Adopted> adopted) {
    List<SandboxRow> gone = new ArrayList<>();
    List<SandboxId> unknown = new ArrayList<>();
    List<SandboxRow> journal = parts.registry().sandboxes();
    Leftovers.end(journal.stream().filter(row -> !adopted.containsKey(row.id())).toList());
    List<Sandbox.Running> alive = new ArrayList<>();
    List<SandboxRow> lost = new ArrayList<>();
    for (SandboxRow row : journal) {
      switch (row.state()) {
        case RUNNING ->
            Optional.ofNullable(adopted.get(row.id()))
                .map(one -> running(row, one))
                .ifPresentOrElse(
                    alive::add, () -> lost.add(row.ended("the daemon that ran it has ended")));
        case ENDED -> gone.add(row);
        case CREATING, PARKED -> unknown.add(row.id());
      }
    }
    gone.addAll(lost);
    synchronized (this) {
      gone.forEach(row -> remember(new Sandbox.Ended(row, 0, SandboxOptions.NONE), unknown));
    }
    parts.registry().journal(gone);
    parts.registry().strike(unknown);
    parts
        .registry()
        .note(
            lost.stream()
                .map(row -> parts.event("sandbox.ended", row.id().text(), row.ended()))
                .toList());
    alive.forEach(this::adopt);
    LOG.info(
        "event=sandboxes_loaded adopted={} ended={} struck={}",
        alive.size(),
        gone.size(),
        unknown.size());
  }

  private static Sandbox.Running running(SandboxRow row, Adoption.Adopted adopted) {
    Terms terms = adopted.terms();
    Lifetime lifetime = new Lifetime(terms.options(), terms.sinceNanos());
    return new Sandbox.Running(row, adopted.guest(), adopted.template(), terms.readyMs(), lifetime);
  }

  private void adopt(Sandbox.Running running) {
    SandboxRow row = running.row();
    synchronized (this) {
      running.template().acquire();
      sandboxes.put(row.id(), running);
      snapshots.sandboxes(row.tag(), 1);
    }
    parts.registry().note(parts.event("sandbox.adopted", row.id().text(), "from " + row.tag()));
    hearEnd(running);
  }

  private void hearEnd(Sandbox.Running running) {
    running.guest().ended().thenAccept(why -> Thread.startVirtualThread(() -> ended(running, why)));
  }

  private static Terms terms(Sandbox.Running running) {
    Lifetime lifetime = running.lifetime();
    return new Terms(
        running.row().id(), lifetime.options(), lifetime.sinceNanos(), running.readyMs());
  }

  /** Those that the filter shows, ordered by id. */
  List<SandboxInfo> list(SandboxFilter filter) {
    List<Sandbox> shown;
    synchronized (this) {
      shown =
          sandboxes.values().stream()
              .filter(sandbox -> filter.all() || sandbox instanceof Sandbox.Running)
              .filter(one -> filter.shows(one.row().id(), one.row().tag(), one.options()))
              .limit(filter.limit() == 0 ? Long.MAX_VALUE : filter.limit())
              .toList();
    }
    return shown.stream().map(Sandbox::info).toList(); // looks at files of the kernel
  }

  SandboxInfo get(SandboxId id) {
    Sandbox sandbox;
    synchronized (this) {
      sandbox = find(id);
    }
    return sandbox.info();
  }

  /** Whether that sandbox lives. */
  synchronized boolean runs(SandboxId id) {
    return sandboxes.get(id) instanceof Sandbox.Running;
  }

  /** Whether it lives and was forked from a snapshot that holds secrets. */
  synchronized boolean holdsSecrets(SandboxId id) {
    return sandboxes.get(id) instanceof Sandbox.Running running && running.template().secrets();
  }

  /**
   * The living sandbox of that id.
   *
   * @throws ForkdException NOT_FOUND, or CONFLICT when it has ended
   */
  synchronized Sandbox.Running running(SandboxId id) {
    return switch (find(id)) {
      case Sandbox.Running running -> running;
      case Sandbox.Ended(var row, _, _) ->
          throw new ForkdException(
              FailureKind.CONFLICT, "sandbox " + id + " has ended: " + row.ended());
    };
  }

  private Sandbox find(SandboxId id) {
    return Optional.ofNullable(sandboxes.get(id)).orElseThrow(() -> notFound(id));
  }

  /**
   * Makes a batch visible; each sandbox keeps the template from now on.
   *
   * @throws ForkdException CONFLICT when a name of it is taken
   */
  List<SandboxInfo> commit(List<Child> children, WarmTemplate template, SandboxOptions options) {
    List<Sandbox.Running> batch = new ArrayList<>(children.size());
    synchronized (this) {
      if (closed) {
        throw new ForkdException(FailureKind.UNAVAILABLE, "the daemon is stopping");
      }
      checkNames(options, children.size());
      for (Child child : children) {
        template.acquire();
        Lifetime lifetime = new Lifetime(options.child(batch.size(), children.size()));
        Sandbox.Running running =
            new Sandbox.Running(child.row(), child.guest(), template, child.readyMs(), lifetime);
        sandboxes.put(child.row().id(), running);
        snapshots.sandboxes(child.row().tag(), 1);
        batch.add(running);
      }
    }
    created(batch);
    parts.keep(batch.getFirst().row().engine(), batch.stream().map(Sandboxes::terms).toList());
    batch.forEach(this::hearEnd);
    return batch.stream().map(Sandbox::info).toList();
  }

  /** Fails when a name that the options give to n sandboxes is taken by one that runs. */
  synchronized void checkNames(SandboxOptions options, int n) {
    if (options.name().isEmpty()) {
      return;
    }
    Set<String> taken = new HashSet<>();
    sandboxes.values().stream()
        .filter(Sandbox.Running.class::isInstance)
        .forEach(sandbox -> taken.add(sandbox.options().name()));
    for (int i = 0; i < n; i++) {
      String name = options.child(i, n).name();
      if (taken.contains(name)) {
        throw new ForkdException(
            FailureKind.CONFLICT,
            "a sandbox with the name " + name + " runs already: end it, or choose another name");
      }
    }
  }

  private void created(List<Sandbox.Running> batch) {
    parts
        .registry()
        .note(
            batch.stream()
                .map(one ->
                    parts.event(
                        "sandbox.created", one.row().id().text(), "from " + one.row().tag()))
                .toList());
  }

  /** Lets its times start again. */
  SandboxInfo renew(Request.Renew request) {
    Sandbox.Running running = running(request.id());
    SandboxOptions now = running.options();
    running.lifetime().renew(request.ttl().orElse(now.ttl()), request.idle().orElse(now.idle()));
    parts.keep(running.row().engine(), List.of(terms(running)));
    parts.registry().note(parts.event("sandbox.renewed", request.id().text(), ""));
    return get(request.id());
  }

  /** Ends those whose time is over, each on a thread of its own. */
  void endOverdue() {
    List<Sandbox.Running> overdue;
    synchronized (this) {
      overdue =
          sandboxes.values().stream()
              .filter(Sandbox.Running.class::isInstance)
              .map(Sandbox.Running.class::cast)
              .filter(running -> running.lifetime().over().isPresent())
              .toList();
    }
    overdue.forEach(running ->
        running
            .lifetime()
            .over()
            .ifPresent(why -> Thread.startVirtualThread(() -> ended(running, why))));
  }

  private void ended(Sandbox.Running running, String told) {
    String why = printable(told);
    SandboxRow row;
    List<SandboxId> forgotten = new ArrayList<>();
    synchronized (this) {
      Sandbox now = sandboxes.get(running.row().id());
      if (!(now instanceof Sandbox.Running(var latest, var guest, _, _, _))
          || !guest.equals(running.guest())) {
        return; // destroyed meanwhile
      }
      row = latest.ended(why);
      remember(new Sandbox.Ended(row, running.readyMs(), running.options()), forgotten);
    }
    LOG.warn("event=sandbox_ended id={} tag={} reason=\"{}\"", row.id(), row.tag(), why);
    metrics.ended(why);
    try {
      running.guest().close();
    } finally {
      released(running);
      parts.registry().update(row);
      parts.registry().strike(forgotten);
      parts.registry().note(parts.event("sandbox.ended", row.id().text(), why));
    }
  }

  /** Notes that a snapshot was branched from a sandbox, which may have ended meanwhile. */
  synchronized void branched(SandboxId id, Path dir) {
    if (sandboxes.get(id) instanceof Sandbox.Running running) {
      SandboxRow row = running.row().branched(dir.toString());
      sandboxes.put(
          id,
          new Sandbox.Running(
              row, running.guest(), running.template(), running.readyMs(), running.lifetime()));
      parts.registry().update(row); // before whoever ends it strikes it out
    }
  }

  private void remember(Sandbox.Ended entry, List<SandboxId> forgotten) {
    sandboxes.put(entry.row().id(), entry);
    ended.add(entry.row().id());
    while (ended.size() > MAX_ENDED) {
      SandboxId oldest = ended.remove();
      sandboxes.remove(oldest);
      forgotten.add(oldest);
    }
  }

  private void released(Sandbox.Running running) {
    detached.forget(running.row().id());
    snapshots.sandboxes(running.row().tag(), -1);
    running.template().release();
  }

  /** Ends a sandbox, or forgets one that has ended; when this returns nothing of it is left. */
  void destroy(SandboxId id) {
    long began = System.nanoTime();
    Sandbox sandbox;
    synchronized (this) {
      sandbox = find(id);
      sandboxes.remove(id);
      ended.remove(id);
    }
    if (sandbox instanceof Sandbox.Running running) {
      end(running);
      metrics.ended(Metrics.DESTROYED);
    }
    parts.registry().strike(List.of(id));
    parts.registry().note(parts.event("sandbox.destroyed", id.text(), ""));
    LOG.info(
        "event=sandbox_destroyed id={} tag={} ms={}",
        id,
        sandbox.row().tag(),
        Durations.millisSince(began));
  }

  private void end(Sandbox.Running running) {
    try {
      running.guest().close();
    } catch (RuntimeException e) {
      // It may still be there: keep it, so that whoever asked can ask again.
      synchronized (this) {
        sandboxes.put(running.row().id(), running);
      }
      throw e;
    }
    released(running);
  }

  /** Destroys every sandbox that was forked from a snapshot. */
  void destroyAll(Tag tag) {
    destroyEach(running(row -> row.tag().equals(tag)));
  }

  /** Destroys everything but what engines keep; nothing new is taken. */
  void close(Predicate<EngineName> kept) {
    synchronized (this) {
      closed = true;
    }
    destroyEach(running(row -> !kept.test(row.engine())));
  }

  private void destroyEach(Collection<SandboxId> ids) {
    if (!ids.isEmpty()) {
      Together.each(ids, this::destroyIfThere);
    }
  }

  private void destroyIfThere(SandboxId id) {
    try {
      destroy(id);
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.NOT_FOUND) {
        throw e;
      }
      LOG.debug("event=sandbox_gone id={}", id); // somebody else was faster
    }
  }

  private synchronized List<SandboxId> running(Predicate<SandboxRow> chosen) {
    return sandboxes.values().stream()
        .filter(Sandbox.Running.class::isInstance)
        .map(Sandbox::row)
        .filter(chosen)
        .map(SandboxRow::id)
        .toList();
  }

  // What a guest's end is described by may quote the guest: bounded, one line.
  private static String printable(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
    return line.length() <= MAX_REASON ? line : line.substring(0, MAX_REASON) + "...";
  }

  private static ForkdException notFound(SandboxId id) {
    return new ForkdException(FailureKind.NOT_FOUND, "sandbox " + id + " not found");
  }
}
