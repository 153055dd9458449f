package dev.forkd.service;

import dev.forkd.model.BranchMode;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SandboxOptions;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceInfo;
import dev.forkd.model.WorkspaceStatus;
import dev.forkd.store.WorkspaceRow;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sandboxes that have a name and can be suspended. One request at a time works on a workspace; the
 * registry is written before what it makes superfluous is removed, so that whatever step fails, the
 * workspace has its sandbox or its state.
 */
final class Workspaces {
  private static final Logger LOG = LoggerFactory.getLogger(Workspaces.class);
  private static final int ID_LENGTH = 16;

  private final Parts parts;
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Forking forking;
  private final Branches branches;
  private final Map<Tag, WorkspaceRow> workspaces = new TreeMap<>();
  private final Set<Tag> busy = new HashSet<>();

  Workspaces(
      Parts parts, Snapshots snapshots, Sandboxes sandboxes, Forking forking, Branches branches) {
    this.parts = parts;
    this.snapshots = snapshots;
    this.sandboxes = sandboxes;
    this.forking = forking;
    this.branches = branches;
  }

  /** Takes over what earlier daemons left: sandboxes have ended, so what ran is stale. */
  synchronized void load() {
    for (WorkspaceRow row : parts.registry().workspaces()) {
      workspaces.put(row.name(), row);
      looked(row);
    }
    LOG.info("event=workspaces_loaded n={}", workspaces.size());
  }

  synchronized List<WorkspaceInfo> list() {
    return List.copyOf(workspaces.values()).stream().map(row -> describe(looked(row))).toList();
  }

  synchronized WorkspaceInfo get(Tag name) {
    return describe(find(name));
  }

  private WorkspaceRow find(Tag name) {
    return looked(
        Optional.ofNullable(workspaces.get(name))
            .orElseThrow(() ->
                new ForkdException(FailureKind.NOT_FOUND, "workspace " + name + " not found")));
  }

  // Its sandbox may have ended, or been destroyed, since.
  private WorkspaceRow looked(WorkspaceRow row) {
    if (row.status() != WorkspaceStatus.RUNNING || sandboxes.runs(new SandboxId(row.sandbox()))) {
      return row;
    }
    return put(row.stale(), "workspace.stale", "its sandbox " + row.sandbox() + " has ended");
  }

  private synchronized WorkspaceRow put(WorkspaceRow row, String event, String message) {
    parts.registry().put(row, parts.event(event, row.name().text(), message));
    workspaces.put(row.name(), row);
    LOG.info("event={} name={} {}", event, row.name(), message);
    return row;
  }

  /** Fails when that snapshot holds what a workspace was suspended with. */
  synchronized void checkNoState(Tag tag) {
    for (WorkspaceRow row : workspaces.values()) {
      if (row.stateTag().equals(tag.text())) {
        throw new ForkdException(
            FailureKind.CONFLICT,
            ("snapshot %s holds the state of workspace %s: delete the workspace, or DELETE the"
                    + " snapshot with ?force=true (the state is lost)")
                .formatted(tag, row.name()));
      }
    }
  }

  /** Forks a workspace's first sandbox. */
  WorkspaceInfo create(Request.CreateWorkspace request) {
    Tag name = request.name();
    return alone(
        name,
        () -> {
          checkFree(name);
          WorkspaceRow.Terms terms =
              new WorkspaceRow.Terms(request.netns(), request.memoryLimitMib().orElse(0));
          SandboxInfo sandbox = fork(request.source(), terms, request.cleared());
          String text = sandbox.id().text();
          String id = "ws-" + text.substring(0, Math.min(ID_LENGTH, text.length()));
          long now = parts.unixSeconds();
          WorkspaceRow row =
              new WorkspaceRow(
                  name,
                  id,
                  request.source(),
                  WorkspaceStatus.RUNNING,
                  "",
                  text,
                  "",
                  now,
                  now,
                  terms);
          return kept(row, sandbox, "workspace.created");
        });
  }

  private synchronized void checkFree(Tag name) {
    if (workspaces.containsKey(name)) {
      throw new ForkdException(
          FailureKind.CONFLICT, "workspace " + name + " already exists; DELETE first");
    }
  }

  private SandboxInfo fork(Tag tag, WorkspaceRow.Terms terms, boolean cleared) {
    long mib = terms.memoryLimitMib();
    OptionalLong limit = mib == 0 ? OptionalLong.empty() : OptionalLong.of(mib);
    Request.Fork request =
        new Request.Fork(tag, 1, limit, SandboxOptions.NONE, terms.netns(), cleared);
    return forking.fork(request).getFirst();
  }

  private WorkspaceInfo kept(WorkspaceRow row, SandboxInfo sandbox, String event) {
    try {
      return describe(put(row, event, "in sandbox " + sandbox.id()));
    } catch (RuntimeException e) {
      sandboxes.destroy(sandbox.id()); // nobody would know what it is
      throw e;
    }
  }

  /** Saves a workspace's sandbox, then ends it. */
  WorkspaceInfo suspend(Request.Suspend request) {
    return alone(request.name(), () -> suspend(current(request.name()), request.diff()));
  }

  private WorkspaceInfo suspend(WorkspaceRow row, boolean diff) {
    if (row.status() != WorkspaceStatus.RUNNING) {
      String word = row.status() == WorkspaceStatus.STALE ? "Stale" : "Suspended";
      throw new ForkdException(
          FailureKind.INVALID,
          "workspace %s is %s, not Running — suspend requires a live sandbox"
              .formatted(row.name(), word));
    }
    SandboxId id = new SandboxId(row.sandbox());
    Tag state = StateTags.next(row.name(), tag -> snapshots.find(tag).isPresent());
    // A diff of a saved state would need that state for ever: the whole is saved instead.
    boolean fromSource = sandboxes.get(id).tag().equals(row.source());
    BranchMode mode = diff && fromSource ? BranchMode.DIFF : BranchMode.FULL;
    SnapshotInfo saved =
        branches.branch(
            new Request.Branch(
                id,
                Optional.of(state),
                Optional.of(mode),
                Request.BranchFlags.NONE,
                true,
                Optional.empty()));
    WorkspaceRow suspended;
    try {
      suspended =
          put(
              row.suspended(state, saved.dir().toString(), parts.unixSeconds()),
              "workspace.suspended",
              "as snapshot " + state);
    } catch (RuntimeException e) {
      snapshots.delete(state, false); // it runs on as if nobody had asked
      throw e;
    }
    sandboxes.destroy(id);
    removeState(row.stateTag());
    return describe(suspended);
  }

  /** What was forked or branched from a state by others keeps it. */
  private void removeState(String tag) {
    if (tag.isEmpty()) {
      return;
    }
    try {
      snapshots.delete(new Tag(tag), false);
    } catch (ForkdException e) {
      switch (e.kind()) {
        case NOT_FOUND -> LOG.debug("event=workspace_state_gone tag={}", tag);
        case CONFLICT -> {
          LOG.warn("event=workspace_state_kept tag={} reason=\"{}\"", tag, e.getMessage());
          parts.registry().note(parts.event("workspace.state_kept", tag, e.failure().message()));
        }
        default -> throw e;
      }
    }
  }

  /** Forks a workspace's sandbox again. */
  WorkspaceInfo resume(Request.Resume request) {
    return alone(
        request.name(),
        () -> {
          WorkspaceRow row = current(request.name());
          if (row.status() == WorkspaceStatus.RUNNING) {
            throw new ForkdException(
                FailureKind.INVALID,
                "workspace " + row.name() + " is Running in sandbox " + row.sandbox());
          }
          boolean source = request.fresh() || row.stateTag().isEmpty();
          Tag from = source ? row.source() : new Tag(row.stateTag());
          SandboxInfo sandbox = fork(from, row.terms(), request.cleared());
          WorkspaceRow running = row.running(sandbox.id().text(), parts.unixSeconds());
          return kept(running, sandbox, "workspace.resumed");
        });
  }

  /** Ends a workspace; its source stays. */
  void delete(Tag name) {
    alone(
        name,
        () -> {
          WorkspaceRow row = current(name);
          if (row.status() == WorkspaceStatus.RUNNING) {
            sandboxes.destroy(new SandboxId(row.sandbox()));
          }
          removeState(row.stateTag());
          synchronized (this) {
            parts
                .registry()
                .removeWorkspace(name, parts.event("workspace.deleted", name.text(), ""));
            workspaces.remove(name);
          }
          return Request.Done.DONE;
        });
  }

  private synchronized WorkspaceRow current(Tag name) {
    return find(name);
  }

  /** Does the work unless somebody else works on that workspace. */
  private <T> T alone(Tag name, Supplier<T> work) {
    synchronized (this) {
      if (!busy.add(name)) {
        throw new ForkdException(
            FailureKind.CONFLICT,
            "workspace " + name + " is being changed by another request; retry once it is done");
      }
    }
    try {
      return work.get();
    } finally {
      synchronized (this) {
        busy.remove(name);
      }
    }
  }

  private static WorkspaceInfo describe(WorkspaceRow row) {
    long mib = row.terms().memoryLimitMib();
    return new WorkspaceInfo(
        row.id(),
        row.name(),
        row.source(),
        row.status(),
        present(row.stateTag()),
        present(row.sandbox()),
        present(row.lastBranch()),
        row.createdAtUnix(),
        row.activeAtUnix(),
        row.terms().netns(),
        mib == 0 ? OptionalLong.empty() : OptionalLong.of(mib));
  }

  private static Optional<String> present(String text) {
    return text.isEmpty() ? Optional.empty() : Optional.of(text);
  }
}
