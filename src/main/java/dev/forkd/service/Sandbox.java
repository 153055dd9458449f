package dev.forkd.service;

import dev.forkd.engine.Guest;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxInfo;
import dev.forkd.store.SandboxRow;
import java.util.Optional;
import java.util.OptionalLong;

/** The states of a sandbox that somebody was given. */
sealed interface Sandbox {
  /** Its journal entry. */
  SandboxRow row();

  /** What is told of it. */
  SandboxInfo info();

  /**
   * It lives.
   *
   * @param guest to talk to
   * @param template kept alive by it
   * @param readyMs from the request to its answer
   */
  record Running(SandboxRow row, Guest guest, WarmTemplate template, double readyMs)
      implements Sandbox {
    @Override
    public SandboxInfo info() {
      return describe(
          row, SandboxInfo.State.RUNNING, guest.runtime(), guest.network().orElse(""), readyMs);
    }
  }

  /** It ended by itself and is remembered. */
  record Ended(SandboxRow row, double readyMs) implements Sandbox {
    @Override
    public SandboxInfo info() {
      return describe(row, SandboxInfo.State.ENDED, Pong.RuntimeState.ENDED, "", readyMs);
    }
  }

  private static SandboxInfo describe(
      SandboxRow row,
      SandboxInfo.State state,
      Pong.RuntimeState runtime,
      String netns,
      double readyMs) {
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
        netns.isEmpty() ? Optional.empty() : Optional.of(netns),
        readyMs,
        row.branches().count(),
        present(row.branches().lastDir()),
        present(row.ended()));
  }

  private static Optional<String> present(String text) {
    return text.isEmpty() ? Optional.empty() : Optional.of(text);
  }
}
