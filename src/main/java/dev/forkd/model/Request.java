package dev.forkd.model;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The closed list of everything the service can be asked. The {@code api} package turns bytes into
 * one of these; {@code service} switches over them without a default.
 *
 * @param <R> what the answer is
 */
@SuppressWarnings({"OptionalUsedAsFieldOrParameterType", "unused"})
public sealed interface Request<R> {

  /** All snapshots, ordered by tag. */
  record ListSnapshots() implements Request<java.util.List<SnapshotInfo>> {}

  /** One snapshot. */
  record GetSnapshot(Tag tag) implements Request<SnapshotInfo> {}

  /**
   * Warm a recipe and freeze it.
   *
   * @param tag empty = the recipe's name
   * @param recipeText the recipe file's content
   * @param baseDir absolute directory that relative paths in the recipe start from
   * @param engine overrides the recipe's
   * @param replace whether a snapshot of that tag (without live sandboxes) is replaced
   * @param marks labels, and whether it will hold secrets
   */
  record CreateSnapshot(
      Optional<Tag> tag,
      String recipeText,
      Path baseDir,
      Optional<EngineName> engine,
      boolean replace,
      SnapshotMarks marks)
      implements Request<SnapshotInfo> {}

  /** Remove a snapshot; refused while sandboxes or snapshots derive from it, unless told. */
  record DeleteSnapshot(Tag tag, boolean cascade, boolean force) implements Request<Done> {}

  /** One snapshot and those around it. */
  record DescribeSnapshot(Tag tag) implements Request<SnapshotDetail> {}

  /**
   * Make a snapshot of what a snapshot's sandboxes begin with, that needs no other snapshot.
   *
   * @param from the snapshot
   * @param to the new one's name
   */
  record Compact(Tag from, Tag to) implements Request<SnapshotInfo> {}

  /**
   * Make a snapshot of a running sandbox. The flags are those of the wire: which of them go
   * together is for the service to say, in the order that clients know.
   *
   * @param tag the snapshot's name; empty = one is made up
   * @param mode what is copied; empty = the flags say
   * @param flags the older way to say it
   * @param await whether to answer only when the snapshot is ready
   * @param parent the snapshot that the sandbox was forked from, to make sure
   */
  record Branch(
      SandboxId id,
      Optional<Tag> tag,
      Optional<BranchMode> mode,
      BranchFlags flags,
      boolean await,
      Optional<Tag> parent)
      implements Request<SnapshotInfo> {}

  /**
   * The older way to name a mode.
   *
   * @param diff for {@link BranchMode#DIFF}
   * @param live for {@link BranchMode#LIVE}
   * @param measure a full branch, and a diff that is thrown away, for the figures
   */
  record BranchFlags(boolean diff, boolean live, boolean measure) {
    /** None is set. */
    public static final BranchFlags NONE = new BranchFlags(false, false, false);
  }

  /** All workspaces, ordered by name. */
  record ListWorkspaces() implements Request<java.util.List<WorkspaceInfo>> {}

  /** One workspace. */
  record GetWorkspace(Tag name) implements Request<WorkspaceInfo> {}

  /**
   * Fork a sandbox that has a name and can be suspended.
   *
   * @param source the snapshot
   * @param netns whether a network namespace of its own was asked for
   * @param memoryLimitMib overrides the recipe's limit, now and after each resume
   * @param cleared whether who asks may fork snapshots that hold secrets
   */
  record CreateWorkspace(
      Tag name, Tag source, boolean netns, OptionalLong memoryLimitMib, boolean cleared)
      implements Request<WorkspaceInfo> {}

  /** End a workspace, with its sandbox and its saved state. */
  record DeleteWorkspace(Tag name) implements Request<Done> {}

  /**
   * Save a workspace as a snapshot and end its sandbox.
   *
   * @param diff whether only what differs from its source is to be saved
   */
  record Suspend(Tag name, boolean diff) implements Request<WorkspaceInfo> {}

  /**
   * Fork a workspace's sandbox from its saved state.
   *
   * @param fresh from its source instead, forgetting the saved state
   * @param cleared whether who asks may fork snapshots that hold secrets
   */
  record Resume(Tag name, boolean fresh, boolean cleared) implements Request<WorkspaceInfo> {}

  /**
   * Fork n sandboxes, all or none.
   *
   * @param n 1 to 1000
   * @param memoryLimitMib overrides the recipe's limit
   * @param options name, labels and times
   * @param netns whether the host must be able to reach each: {@link Network#LOCAL} where the
   *     recipe says none
   * @param cleared whether who asks may fork snapshots that hold secrets
   */
  record Fork(
      Tag tag,
      int n,
      OptionalLong memoryLimitMib,
      SandboxOptions options,
      boolean netns,
      boolean cleared)
      implements Request<java.util.List<SandboxInfo>> {
    /** The most sandboxes that one request may ask for. */
    public static final int MAX_N = 1000;

    public Fork {
      checkN(n);
    }

    /** Without a name, labels or times. */
    public Fork(Tag tag, int n, OptionalLong memoryLimitMib) {
      this(tag, n, memoryLimitMib, SandboxOptions.NONE);
    }

    /** That nobody has to reach, for somebody who may fork all. */
    public Fork(Tag tag, int n, OptionalLong memoryLimitMib, SandboxOptions options) {
      this(tag, n, memoryLimitMib, options, false, true);
    }

    /** Fails when that many sandboxes may not be asked for. */
    public static void checkN(int n) {
      if (n < 1) {
        throw new ForkdException(FailureKind.INVALID, "n must be ≥ 1");
      }
      if (n > MAX_N) {
        throw new ForkdException(FailureKind.INVALID, "n must be ≤ 1000 (sanity cap)");
      }
    }
  }

  /** Sandboxes, ordered by id. */
  record ListSandboxes(SandboxFilter filter) implements Request<java.util.List<SandboxInfo>> {}

  /** One sandbox. */
  record GetSandbox(SandboxId id) implements Request<SandboxInfo> {}

  /**
   * Let a sandbox's times start again.
   *
   * @param ttl empty = as long as before; zero = for ever
   * @param idle empty = as long as before; zero = for ever
   */
  record Renew(SandboxId id, Optional<Duration> ttl, Optional<Duration> idle)
      implements Request<SandboxInfo> {}

  /**
   * Wait until a sandbox answers, or until it has ended.
   *
   * @param ended what to wait for
   * @param timeout after which the request fails with TIMEOUT
   */
  record AwaitSandbox(SandboxId id, boolean ended, Duration timeout)
      implements Request<SandboxInfo> {}

  /** Wait until a snapshot is written no more: it is ready, or has failed. */
  record AwaitSnapshot(Tag tag, Duration timeout) implements Request<SnapshotInfo> {}

  /** End a sandbox and everything in it. */
  record Destroy(SandboxId id) implements Request<Done> {}

  /** How a sandbox is connected. */
  record GetNetwork(SandboxId id) implements Request<SandboxNetwork> {}

  /** Change what a sandbox may reach, while it runs. */
  record SetNetwork(SandboxId id, NetworkPolicy policy) implements Request<SandboxNetwork> {}

  /**
   * Make a port of a sandbox reachable on the host.
   *
   * @param port of the sandbox, 1 to 65535
   * @param address IPv4 address of the host
   * @param hostPort 0 = one that is free
   */
  record PublishPort(SandboxId id, int port, String address, int hostPort)
      implements Request<PublishedPort> {}

  /** Take that back. */
  record UnpublishPort(SandboxId id, int port) implements Request<Done> {}

  /** The published ports of a sandbox. */
  record ListPorts(SandboxId id) implements Request<java.util.List<PublishedPort>> {}

  /** Ask the agent, and the runtime if there is one, to answer. */
  record Ping(SandboxId id) implements Request<Pong> {}

  /** Run code in the sandbox's eval session. */
  record Eval(SandboxId id, String code, Duration timeout) implements Request<EvalResult> {}

  /** Start a program; the caller pumps its events and must close it. */
  record Run(SandboxId id, ProgramSpec program, WarmUse warm) implements Request<StartedProgram> {}

  /**
   * Start a program that goes on without a client, until it ends, its sandbox ends or it is ended.
   */
  record Detach(SandboxId id, ProgramSpec program, WarmUse warm)
      implements Request<DetachedProgram> {}

  /** The detached programs of a sandbox, the oldest first; those that have ended, too. */
  record ListDetached(SandboxId id) implements Request<java.util.List<DetachedProgram>> {}

  /** One detached program. */
  record GetDetached(SandboxId id, String program) implements Request<DetachedProgram> {}

  /**
   * What a detached program has written from a position on.
   *
   * @param from counts the bytes of both streams
   * @param patience how long to wait for more; afterwards the answer is empty
   */
  record ReadDetached(SandboxId id, String program, long from, Duration patience)
      implements Request<Optional<DetachedOutput>> {}

  /** End a detached program if it still runs, and forget it and its output. */
  record EndDetached(SandboxId id, String program) implements Request<Done> {}

  /** Connect to a port on a sandbox's loopback; the caller closes it. */
  record Connect(SandboxId id, int port) implements Request<StartedProgram> {}

  /** Run a program to its end with all of its input given and its output collected. */
  @SuppressWarnings("ArrayRecordComponent") // made and read once, never compared
  record RunToEnd(SandboxId id, ProgramSpec program, WarmUse warm, byte[] stdin)
      implements Request<CompletedProgram> {}

  /** The files of a sandbox; the caller closes it. */
  record OpenFiles(SandboxId id) implements Request<OpenedFiles> {}

  /** A program that {@link Run} started and nobody has closed yet. */
  record FindProgram(SandboxId id, String program) implements Request<RunningProgram> {}

  /** Whether a python command may run in a fork of the warm runtime instead of a new process. */
  enum WarmUse {
    /** When it gives the same result. */
    AUTO,
    /** Refuse (INVALID) when it does not. */
    REQUIRED,
    /** Always a new process. */
    NEVER
  }

  /**
   * What happened last, newest first.
   *
   * @param limit 1 to 1000
   * @param subject id or tag of what it happened to; "" = all
   */
  record ListEvents(int limit, String subject) implements Request<java.util.List<Event>> {
    public ListEvents {
      if (limit < 1 || limit > 1000) {
        throw new ForkdException(FailureKind.INVALID, "limit must be 1 to 1000");
      }
    }
  }

  /**
   * The events behind a number, oldest first, at most 500; waits for the first of them.
   *
   * @param number of the last event that is known; -1 = the newest there is
   * @param patience after which the answer is empty
   */
  record FollowEvents(long number, Duration patience)
      implements Request<java.util.List<LoggedEvent>> {}

  /** Nothing to say but that it is done. */
  enum Done {
    DONE
  }
}
