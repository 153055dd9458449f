package dev.forkd.store;

import dev.forkd.model.EngineName;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.util.Locale;

/**
 * One entry of the sandbox journal.
 *
 * @param id its name
 * @param tag the snapshot it is forked from
 * @param createdAtUnix seconds
 * @param engine that runs it
 * @param state how far it came
 * @param pid of its agent on the host; 0 before it runs
 * @param stamp of that process, see {@link ProcessStamp}; "" before it runs
 * @param memoryLimitMib 0 = none
 * @param ended how it ended; "" while it has not
 * @param branches what was branched from it
 */
public record SandboxRow(
    SandboxId id,
    Tag tag,
    long createdAtUnix,
    EngineName engine,
    State state,
    long pid,
    String stamp,
    long memoryLimitMib,
    String ended,
    Branches branches) {

  /**
   * Snapshots that were branched from a sandbox.
   *
   * @param count how many
   * @param lastDir directory of the last one; "" = there is none
   */
  public record Branches(int count, String lastDir) {
    /** Nothing was branched yet. */
    public static final Branches NONE = new Branches(0, "");
  }

  /** How far a sandbox came. */
  public enum State {
    /** Written down before anything exists. */
    CREATING,
    /** Forked ahead, given to nobody. */
    PARKED,
    /** Given to somebody. */
    RUNNING,
    /** Ended by itself; kept for whoever asks what became of it. */
    ENDED;

    /** The word in the registry. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** An entry for a sandbox of which nothing exists yet. */
  public static SandboxRow planned(
      SandboxId id, Tag tag, long createdAtUnix, EngineName engine, long memoryLimitMib) {
    return new SandboxRow(
        id, tag, createdAtUnix, engine, State.CREATING, 0, "", memoryLimitMib, "", Branches.NONE);
  }

  /** This entry in that state with that process. */
  public SandboxRow at(State newState, long newPid) {
    String newStamp = ProcessStamp.of(newPid);
    return new SandboxRow(
        id,
        tag,
        createdAtUnix,
        engine,
        newState,
        newPid,
        newStamp,
        memoryLimitMib,
        ended,
        branches);
  }

  /** This entry, given to somebody at that time. */
  public SandboxRow given(long atUnix) {
    return new SandboxRow(
        id, tag, atUnix, engine, State.RUNNING, pid, stamp, memoryLimitMib, ended, branches);
  }

  /** This entry as ended. */
  public SandboxRow ended(String how) {
    return new SandboxRow(
        id, tag, createdAtUnix, engine, State.ENDED, pid, stamp, memoryLimitMib, how, branches);
  }

  /** This entry with one more branch, kept in that directory. */
  public SandboxRow branched(String dir) {
    return new SandboxRow(
        id,
        tag,
        createdAtUnix,
        engine,
        state,
        pid,
        stamp,
        memoryLimitMib,
        ended,
        new Branches(branches.count() + 1, dir));
  }
}
