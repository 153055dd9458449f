package dev.forkd.engine;

import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.model.SystemCalls;
import dev.forkd.model.Tag;
import java.util.Map;
import java.util.Optional;

/**
 * Everything needed to warm a template; pure data, can be printed and compared.
 *
 * @param tag the snapshot it belongs to
 * @param image its root file system
 * @param runtime the interpreter to warm; empty = none
 * @param warm what to do in it
 * @param workdir absolute working directory inside
 * @param env complete environment of runtime and commands
 * @param limits default limits of each sandbox
 * @param syscalls that are not refused to it
 * @param network of each sandbox
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record WarmPlan(
    Tag tag,
    RootImage image,
    Optional<Recipe.RuntimeSpec> runtime,
    Recipe.WarmUp warm,
    String workdir,
    Map<String, String> env,
    Limits limits,
    SystemCalls syscalls,
    Network network) {
  public WarmPlan {
    env = Map.copyOf(env);
  }

  /** Whether programs of a sandbox that start the interpreter get a fork of the warm one. */
  public boolean servesPrograms() {
    return runtime.isPresent() && warm.exec();
  }

  /** The same for another snapshot. */
  public WarmPlan as(Tag other) {
    return new WarmPlan(other, image, runtime, warm, workdir, env, limits, syscalls, network);
  }
}
