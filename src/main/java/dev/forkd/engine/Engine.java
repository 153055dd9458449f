package dev.forkd.engine;

import dev.forkd.model.EngineName;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Warms templates. Thread-safe. */
public interface Engine extends AutoCloseable {
  /** Which engine this is. */
  EngineName name();

  /**
   * Whether sandboxes can run on the machine's own root ({@code image: host}); otherwise the
   * packages that such a recipe names are installed in an image of their own.
   */
  default boolean sharesHostRoot() {
    return true;
  }

  /**
   * A look, without starting anything, at what this machine lacks for it.
   *
   * @throws ForkdException UNSUPPORTED with what is missing and how to get it
   */
  default void check() {}

  /** What its sandboxes can reach. */
  default Set<Network> networks() {
    return Set.of(Network.NONE);
  }

  /**
   * Whether it is the one to choose here for a recipe that names none. May take seconds when it is
   * first asked, as it tries what it tells.
   */
  default boolean preferred() {
    return false;
  }

  /**
   * Removes what a daemon that was killed has left, at the start of the next one. The sandboxes
   * that were written down have ended by then.
   */
  default void recover() {}

  /**
   * Live templates that an earlier daemon left, once: whoever asks has to {@link #adopt} them, and
   * then to {@link #endSurvivors}.
   */
  default List<Survivor> survivors() {
    return List.of();
  }

  /**
   * Takes over a template.
   *
   * @param plan it was warmed by
   */
  default Template adopt(Survivor survivor, WarmPlan plan) {
    throw new ForkdException(FailureKind.UNSUPPORTED, "nothing outlives its daemon here");
  }

  /** Ends what was left and has not been adopted. */
  default void endSurvivors() {}

  /**
   * Closes the engine for a next daemon: where it can, templates and sandboxes live on for a time.
   */
  default void leave() {
    close();
  }

  /** Whether {@link #leave} keeps sandboxes. */
  default boolean keeps() {
    return false;
  }

  /**
   * Removes what it has made of images other than these, and of their layers, for itself.
   *
   * @param digests of all images that there are, and of their layers
   */
  default void retainImages(Set<String> digests) {}

  /** What it can do on this host. */
  Capabilities capabilities();

  /**
   * Makes a live template: image mounted, runtime started, warm-up done, ready to be forked.
   *
   * @param log receives the warm-up's output line by line while it runs
   * @throws ForkdException INVALID or ENGINE with the warm-up's traceback as detail, TIMEOUT when
   *     the plan's deadline passes; nothing is left behind
   */
  Template warm(WarmPlan plan, Consumer<String> log);

  /**
   * Makes a branch live again that this engine wrote down ({@link Branch.Written#durable}).
   *
   * @throws ForkdException UNSUPPORTED when its branches do not outlive their templates, CONFLICT
   *     when the files do not fit this host (the message says what), ENGINE when they are damaged
   */
  default Template restore(RestorePlan plan) {
    throw new ForkdException(
        FailureKind.UNSUPPORTED,
        "branches of the " + name().word() + " engine live only as long as their daemon");
  }

  /** Ends every template and every sandbox. */
  @Override
  void close();
}
