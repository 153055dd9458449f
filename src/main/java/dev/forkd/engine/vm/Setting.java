package dev.forkd.engine.vm;

import dev.forkd.engine.RestorePlan;
import dev.forkd.engine.WarmPlan;
import dev.forkd.model.Tag;
import java.util.Map;

/**
 * What holds for every sandbox of a snapshot, however that came about; pure data.
 *
 * @param tag the snapshot's
 * @param hasRuntime whether an interpreter runs in it
 * @param workdir absolute working directory inside
 * @param env complete environment of commands
 */
record Setting(Tag tag, boolean hasRuntime, String workdir, Map<String, String> env) {
  Setting {
    env = Map.copyOf(env);
  }

  static Setting of(WarmPlan plan) {
    return new Setting(plan.tag(), plan.runtime().isPresent(), plan.workdir(), plan.env());
  }

  static Setting of(RestorePlan plan, boolean hasRuntime) {
    return new Setting(plan.tag(), hasRuntime, plan.workdir(), plan.env());
  }

  /** The same under another name. */
  Setting as(Tag other) {
    return new Setting(other, hasRuntime, workdir, env);
  }
}
