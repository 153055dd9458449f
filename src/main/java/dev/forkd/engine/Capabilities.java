package dev.forkd.engine;

import java.util.Map;

/**
 * What an engine can do on this host.
 *
 * @param isolation one word for the API: "process" shares the host's kernel, "vm" does not
 * @param memoryLimit whether memory limits hold
 * @param pidsLimit whether process limits hold
 * @param cpuLimit whether cpu limits hold
 * @param facts further facts for people, such as the cgroup version
 */
public record Capabilities(
    String isolation,
    boolean memoryLimit,
    boolean pidsLimit,
    boolean cpuLimit,
    Map<String, String> facts) {
  public Capabilities {
    facts = Map.copyOf(facts);
  }
}
