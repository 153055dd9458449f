package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ForwardedProgram;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** The programs that run now, by name, so that input and signals find them. Thread-safe. */
final class Programs {
  /** Programs at once in the whole daemon. */
  static final int MAX = 10_000;

  private record Entry(SandboxId sandbox, RunningProgram program) {}

  private final Map<String, Entry> programs = new ConcurrentHashMap<>();
  private final AtomicLong sequence = new AtomicLong();

  /** Fails when no more programs may run; asked before one is started. */
  void checkRoom() {
    if (programs.size() >= MAX) {
      throw new ForkdException(
          FailureKind.EXHAUSTED, MAX + " programs run already; wait until some have ended");
    }
  }

  /** Names a program until it is closed; the sandbox is in use as long. */
  StartedProgram add(SandboxId sandbox, RunningProgram program, boolean warm, Lifetime.Use use) {
    String name = "p-%04x".formatted(sequence.getAndIncrement());
    RunningProgram named = new Named(name, program, use);
    programs.put(name, new Entry(sandbox, named));
    return new StartedProgram(name, warm, named);
  }

  /** The program of that name in that sandbox. */
  RunningProgram find(SandboxId sandbox, String name) {
    Entry entry = programs.get(name);
    if (entry == null || !entry.sandbox().equals(sandbox)) {
      throw new ForkdException(
          FailureKind.NOT_FOUND, "program not found in sandbox " + sandbox + ": it may have ended");
    }
    return entry.program();
  }

  int running() {
    return programs.size();
  }

  private final class Named extends ForwardedProgram {
    private final String name;
    private final Lifetime.Use use;

    Named(String name, RunningProgram program, Lifetime.Use use) {
      super(program);
      this.name = name;
      this.use = use;
    }

    @Override
    public void close() {
      if (programs.remove(name) != null) {
        use.close();
      }
      super.close();
    }
  }
}
