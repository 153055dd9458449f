package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotDetail;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.store.SnapshotRow;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Everything that forkd can be asked, in one place. Thread-safe. */
public final class Forkd implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Forkd.class);

  private final Admission admission;
  private final Parts parts;
  private final Metrics metrics = new Metrics();
  private final Programs programs = new Programs();
  private final Creation creation;
  private final Snapshots snapshots;
  private final Sandboxes sandboxes;
  private final Forking forking;
  private final Runs runs;
  private final Networking networking;
  private final Branches branches;
  private final Workspaces workspaces;
  private final Waits waits;
  private final Sweep sweep;
  private final Reaper reaper;
  private final Warming warming;
  private final Forks forks;
  private volatile boolean leaving;

  private Forkd(Parts parts) {
    this.parts = parts;
    this.forks = new Forks(parts);
    this.admission = forks.admission();
    ImagesInUse images = new ImagesInUse(parts);
    this.warming = new Warming(parts, forks, images);
    this.creation = new Creation(parts, warming, images);
    this.snapshots = new Snapshots(parts, creation, images);
    DetachedPrograms detached = new DetachedPrograms();
    this.sandboxes = new Sandboxes(parts, snapshots, detached, metrics);
    this.networking = new Networking(parts, sandboxes);
    this.forking = new Forking(parts, snapshots, sandboxes, forks, networking, metrics);
    this.runs = new Runs(sandboxes, programs, detached, parts.clock(), metrics);
    BranchWriting writing = new BranchWriting(parts, snapshots, sandboxes, warming, metrics);
    this.branches = new Branches(parts, snapshots, sandboxes, forks, writing);
    this.workspaces = new Workspaces(parts, snapshots, sandboxes, forking, branches);
    this.waits = new Waits(snapshots, sandboxes, parts.registry());
    this.sweep = new Sweep(parts, images, metrics);
    this.reaper = new Reaper(sandboxes::endOverdue);
  }

  /** Starts the service on what earlier daemons left in the registry. */
  public static Forkd start(Parts parts) {
    Forkd forkd = new Forkd(parts);
    forkd.snapshots.load();
    Adoption adoption = Adoption.of(parts, forkd.snapshots, forkd.warming);
    forkd.sandboxes.load(adoption.sandboxes());
    forkd.forks.adopted(adoption.sandboxes().keySet());
    parts.engines().values().forEach(Forkd::recover);
    forkd.workspaces.load();
    adoption.install();
    forkd.sweep.run();
    forkd.reaper.sweep(forkd.sweep, parts.sweepInterval());
    return forkd;
  }

  // What cannot be removed now is tried again at the next start; until then it is in nobody's way.
  private static void recover(Engine engine) {
    try {
      engine.recover();
    } catch (ForkdException e) {
      LOG.error("event=not_recovered engine={} reason=\"{}\"", engine.name(), e.getMessage());
    }
  }

  /**
   * Answers a request.
   *
   * @throws ForkdException when it cannot; the failure says why and what to do
   */
  @SuppressWarnings("unchecked") // each case's answer is the one that its request declares
  public <R> R handle(Request<R> request) {
    Object answer =
        switch (request) {
          case Request.ListSnapshots _ -> snapshots.list();
          case Request.GetSnapshot(var tag) -> snapshots.get(tag);
          case Request.CreateSnapshot create -> create(create, CreationListener.SILENT);
          case Request.DeleteSnapshot delete -> delete(delete);
          case Request.DescribeSnapshot(var tag) -> describe(tag);
          case Request.Compact compact -> branches.compact(compact);
          case Request.Branch branch -> branches.branch(branch);
          case Request.ListWorkspaces _ -> workspaces.list();
          case Request.GetWorkspace(var name) -> workspaces.get(name);
          case Request.CreateWorkspace create -> workspaces.create(create);
          case Request.Suspend suspend -> workspaces.suspend(suspend);
          case Request.Resume resume -> workspaces.resume(resume);
          case Request.DeleteWorkspace(var name) -> {
            workspaces.delete(name);
            yield Request.Done.DONE;
          }
          case Request.Fork fork -> forking.fork(fork);
          case Request.ListSandboxes(var filter) -> sandboxes.list(filter);
          case Request.GetSandbox(var id) -> sandboxes.get(id);
          case Request.Renew renew -> sandboxes.renew(renew);
          case Request.AwaitSandbox await -> waits.sandbox(await);
          case Request.AwaitSnapshot await -> waits.snapshot(await);
          case Request.Destroy(var id) -> {
            sandboxes.destroy(id);
            yield Request.Done.DONE;
          }
          case Request.GetNetwork(var id) -> networking.get(id);
          case Request.SetNetwork(var id, var policy) -> networking.set(id, policy);
          case Request.PublishPort publish -> networking.publish(publish);
          case Request.UnpublishPort(var id, var port) -> networking.unpublish(id, port);
          case Request.ListPorts(var id) -> networking.ports(id);
          case Request.Ping ping -> runs.ping(ping);
          case Request.Eval eval -> runs.eval(eval);
          case Request.Run run -> runs.run(run);
          case Request.Detach detach -> runs.detach(detach);
          case Request.ListDetached(var id) -> runs.detachedIn(id).list(id);
          case Request.GetDetached(var id, var name) -> runs.detachedIn(id).get(id, name);
          case Request.ReadDetached(var id, var name, var from, var patience) ->
              runs.detachedIn(id).read(id, name, from, patience);
          case Request.EndDetached(var id, var name) -> {
            runs.detachedIn(id).end(id, name);
            yield Request.Done.DONE;
          }
          case Request.Connect connect -> runs.connect(connect);
          case Request.RunToEnd run -> runs.runToEnd(run);
          case Request.OpenFiles(var id) -> runs.files(id);
          case Request.FindProgram find -> runs.find(find);
          case Request.ListEvents(var limit, var subject) ->
              parts.registry().events(limit, subject);
          case Request.FollowEvents(var number, var patience) ->
              parts.registry().follow(number, patience);
        };
    return (R) answer;
  }

  /** Makes a snapshot and tells how it goes. */
  public SnapshotInfo create(Request.CreateSnapshot request, CreationListener listener) {
    return creation.create(snapshots, request, listener);
  }

  private Request.Done delete(Request.DeleteSnapshot request) {
    if (request.cascade() && request.force()) {
      throw new ForkdException(
          FailureKind.INVALID, "cascade and force exclude each other: give one of them");
    }
    if (request.cascade()) {
      cascade(request.tag());
    } else {
      if (!request.force()) {
        workspaces.checkNoState(request.tag());
      }
      snapshots.delete(request.tag(), request.force());
    }
    return Request.Done.DONE;
  }

  // Leaves first; a snapshot has one parent, so this walks a tree.
  private void cascade(Tag tag) {
    workspaces.checkNoState(tag);
    snapshots.dependents(tag).forEach(this::cascade);
    sandboxes.destroyAll(tag);
    snapshots.delete(tag, false);
  }

  private SnapshotDetail describe(Tag tag) {
    SnapshotInfo info = snapshots.get(tag);
    SnapshotRow row = snapshots.find(tag).orElseThrow(() -> SnapshotRefusal.notFound(tag));
    return new SnapshotDetail(
        info,
        row.origin().memory().logicalBytes(),
        row.origin().memory().physicalBytes(),
        parts.files().bytes(tag),
        row.parentTag(),
        row.origin().parentHash(),
        snapshots.ancestors(row).stream().map(SnapshotRow::tag).toList(),
        snapshots.dependents(tag));
  }

  /** The number of the newest event; 0 when there has been none. */
  public long newestEvent() {
    return parts.registry().newestEvent();
  }

  /** The metrics as Prometheus text, format 0.0.4. */
  public String metricsText() {
    return metrics.text(
        new Metrics.Gauges(
            parts.version(),
            () -> snapshots.list().size(),
            () -> sandboxes.list(SandboxFilter.RUNNING),
            snapshots::parked,
            programs::running,
            branches::inFlight,
            branches.cap(),
            admission));
  }

  /** The version of this daemon. */
  public String version() {
    return parts.version();
  }

  /** The label that the cgroups of this daemon carry: {@code forkd-<instance>}. */
  public String instance() {
    return parts.instance();
  }

  /** From now on {@link #close} leaves to the next daemon what its engine can keep. */
  public void leave() {
    leaving = true;
  }

  /** Whether that sandbox lives and was forked from a snapshot that is marked so. */
  public boolean holdsSecrets(SandboxId id) {
    return sandboxes.holdsSecrets(id);
  }

  private boolean kept(EngineName engine) {
    return leaving && parts.engine(engine).keeps();
  }

  /** Destroys every sandbox, ends every template and engine. The registry stays the caller's. */
  @Override
  public void close() {
    long began = System.nanoTime();
    reaper.close();
    branches.refuse();
    try {
      sandboxes.close(this::kept);
    } finally {
      try {
        branches.close();
        snapshots.close(this::kept);
      } finally {
        Together.each(parts.engines().values(), leaving ? Engine::leave : Engine::close);
      }
    }
    LOG.info("event=service_closed ms={}", Durations.millisSince(began));
  }
}
