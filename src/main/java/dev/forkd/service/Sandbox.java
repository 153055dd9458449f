package dev.forkd.service;

import dev.forkd.engine.Guest;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SandboxOptions;
import dev.forkd.store.SandboxRow;
import java.util.Optional;
import java.util.OptionalLong;

/** The states of a sandbox that somebody was given. */
sealed interface Sandbox {
  /** Its journal entry. */
  SandboxRow row();

  /** What was said of it when it was forked. */
  SandboxOptions options();

  /** What is told of it. */
  SandboxInfo info();

  /**
   * It lives.
   *
   * @param guest to talk to
   * @param template kept alive by it
   * @param readyMs from the request to its answer
   * @param lifetime its name, labels and times
   */
  record Running(
      SandboxRow row, Guest guest, WarmTemplate template, double readyMs, Lifetime lifetime)
      implements Sandbox {
    @Override
    public SandboxOptions options() {
      return lifetime.options();
    }

    @Override
    public SandboxInfo info() {
      return describe(
          this,
          SandboxInfo.State.RUNNING,
          guest.runtime(),
          guest.memoryUsed(),
          guest.network().orElse(""),
          readyMs,
          lifetime.millisLeft(),
          template.secrets());
    }
  }

  /** It ended by itself and is remembered. */
  record Ended(SandboxRow row, double readyMs, SandboxOptions options) implements Sandbox {
    @Override
    public SandboxInfo info() {
      return describe(
          this,
          SandboxInfo.State.ENDED,
          Pong.RuntimeState.ENDED,
          OptionalLong.empty(),
          "",
          readyMs,
          OptionalLong.empty(),
          false);
    }
  }

  private static SandboxInfo describe(
      Sandbox sandbox,
      SandboxInfo.State state,
      Pong.RuntimeState runtime,
      OptionalLong memoryBytes,
      String netns,
      double readyMs,
      OptionalLong millisLeft,
      boolean secrets) {
    SandboxRow row = sandbox.row();
    long mib = row.memoryLimitMib();
    return new SandboxInfo(
        row.id(),
        row.tag(),
        row.createdAtUnix(),
        row.pid(),
        row.engine(),
        state,
        runtime,
        mib == 0 ? OptionalLong.empty() : OptionalLong.of(mib),
        memoryBytes,
        netns.isEmpty() ? Optional.empty() : Optional.of(netns),
        readyMs,
        row.branches().count(),
        present(row.branches().lastDir()),
        present(row.ended()),
        sandbox.options(),
        millisLeft,
        secrets);
  }

  private static Optional<String> present(String text) {
    return text.isEmpty() ? Optional.empty() : Optional.of(text);
  }
}
