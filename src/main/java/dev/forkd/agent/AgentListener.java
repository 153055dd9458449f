package dev.forkd.agent;

import dev.forkd.frame.Fields;
import dev.forkd.model.Failure;

/** What an agent tells without being asked. Called on the connection's own thread. */
public interface AgentListener {
  /** The runtime of the sandbox has ended: exit_code or signal when known. Must not block. */
  void runtimeEnded(Fields event);

  /**
   * The connection is gone. Called once, unless it was closed from our side.
   *
   * @param reason what the connection knows
   * @param byPeer whether the agent's end went away; otherwise it was dropped for its behaviour
   * @return what everybody who waits is told: a better reason, if one is known within a second
   */
  Failure lost(Failure reason, boolean byPeer);
}
