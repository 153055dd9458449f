package dev.forkd.agent;

import java.time.Duration;
import java.util.Map;

/**
 * What holds for every request to one sandbox.
 *
 * @param name of the sandbox, for messages
 * @param env complete environment of its programs; a program's own entries win over it
 * @param cwd absolute working directory of programs that name none
 * @param startWait how long a program may take to start; an emulated machine is slow
 */
public record AgentSettings(String name, Map<String, String> env, String cwd, Duration startWait) {
  public AgentSettings {
    env = Map.copyOf(env);
  }

  /** Settings for an agent that runs at the host's own speed. */
  public AgentSettings(String name, Map<String, String> env, String cwd) {
    this(name, env, cwd, AgentConnection.MARGIN);
  }
}
