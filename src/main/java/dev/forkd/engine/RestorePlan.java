package dev.forkd.engine;

import dev.forkd.model.Limits;
import dev.forkd.model.RootImage;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A branch that an engine wrote down earlier; pure data.
 *
 * @param tag the snapshot's
 * @param chain its directory last, before it those of the snapshots that it needs, the eldest first
 * @param image the root file system that its eldest ancestor was warmed on
 * @param workdir absolute working directory inside
 * @param env complete environment of runtime and commands
 * @param limits default limits of each sandbox
 */
public record RestorePlan(
    Tag tag,
    List<Path> chain,
    RootImage image,
    String workdir,
    Map<String, String> env,
    Limits limits) {
  public RestorePlan {
    chain = List.copyOf(chain);
    env = Map.copyOf(env);
  }
}
