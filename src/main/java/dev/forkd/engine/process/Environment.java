package dev.forkd.engine.process;

import dev.forkd.engine.WarmPlan;
import java.util.Map;
import java.util.TreeMap;

/**
 * The environment of what runs in a sandbox: the plan's, over defaults that any program expects.
 */
final class Environment {
  /** Where the launcher shows the runtime's Python files inside a template. */
  static final String RUNTIME_PATH = "/.forkd/python";

  private static final String PYTHONPATH = "PYTHONPATH";

  // One thread per numeric library: children share the host's cores, and thread pools that were
  // started before a fork do not survive it.
  private static final Map<String, String> DEFAULTS =
      Map.of(
          "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "HOME", "/root",
          "LANG", "C.UTF-8",
          "OMP_NUM_THREADS", "1",
          "OPENBLAS_NUM_THREADS", "1",
          "MKL_NUM_THREADS", "1",
          "NUMEXPR_NUM_THREADS", "1");

  private Environment() {}

  /** Of the template's interpreter. */
  static Map<String, String> ofRuntime(WarmPlan plan) {
    Map<String, String> env = merged(plan);
    // The runtime takes its own entry out again before any code of the recipe runs.
    env.merge(PYTHONPATH, RUNTIME_PATH, (theirs, ours) -> ours + ":" + theirs);
    return env;
  }

  /** Of commands and calls in one sandbox. */
  static Map<String, String> ofPrograms(WarmPlan plan, String hostname) {
    Map<String, String> env = merged(plan);
    env.putIfAbsent("HOSTNAME", hostname);
    return env;
  }

  private static Map<String, String> merged(WarmPlan plan) {
    Map<String, String> env = new TreeMap<>(DEFAULTS);
    env.putAll(plan.env());
    return env;
  }
}
