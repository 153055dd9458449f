package dev.forkd.service;

import dev.forkd.model.DetachedOutput;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.SandboxId;
import dev.forkd.model.StartedProgram;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Programs that go on without a client: their output is taken here, so that none of them waits for
 * a reader. Those that have ended are remembered until others need their place. Thread-safe.
 */
final class DetachedPrograms {
  private static final Logger LOG = LoggerFactory.getLogger(DetachedPrograms.class);

  /** In one sandbox, and in the daemon: with {@link OutputLog#MAX_BYTES} for each, 64 MiB. */
  static final int MAX_IN_SANDBOX = 32;

  private static final int MAX = 256;

  /** Of a command, for people who look at a list. */
  private static final int MAX_WORDS = 32;

  private static final int MAX_WORD = 256;
  private static final Duration LOOK = Duration.ofMinutes(1);

  private final Map<String, Kept> programs = new LinkedHashMap<>();

  /** One of them. */
  private record Kept(
      SandboxId sandbox,
      StartedProgram started,
      List<String> command,
      long startedAtUnixMs,
      OutputLog log) {
    DetachedProgram told() {
      OutputLog.Extent extent = log.extent();
      return new DetachedProgram(
          started.name(),
          command,
          started.program().pid(),
          started.warm(),
          startedAtUnixMs,
          log.ended(),
          extent.from(),
          extent.to());
    }
  }

  /**
   * Takes a program, which it owns from now on.
   *
   * @throws ForkdException EXHAUSTED when too many run; the program is then ended
   */
  DetachedProgram keep(
      SandboxId sandbox, StartedProgram started, ProgramSpec spec, long startedAtUnixMs) {
    Kept kept = new Kept(sandbox, started, words(spec.program()), startedAtUnixMs, new OutputLog());
    try {
      register(kept);
    } catch (ForkdException e) {
      started.close();
      throw e;
    }
    Thread.ofVirtual().name("detached-" + started.name()).start(() -> pump(kept));
    return kept.told();
  }

  private synchronized void register(Kept kept) {
    makeRoom(one -> one.sandbox().equals(kept.sandbox()), MAX_IN_SANDBOX, "in this sandbox");
    makeRoom(_ -> true, MAX, "in this daemon");
    programs.put(kept.started().name(), kept);
  }

  private void makeRoom(Predicate<Kept> among, int most, String where) {
    List<Kept> there = programs.values().stream().filter(among).toList();
    if (there.size() < most) {
      return;
    }
    Kept oldest =
        there.stream()
            .filter(one -> one.log().ended().isPresent())
            .findFirst()
            .orElseThrow(() ->
                new ForkdException(
                    FailureKind.EXHAUSTED,
                    "%d detached programs run %s already, the most; end one of them, or wait"
                        .formatted(most, where)));
    programs.remove(oldest.started().name());
  }

  // The program's own timeout bounds the wait for its end: the agent ends it.
  private static void pump(Kept kept) {
    try (StartedProgram started = kept.started()) {
      while (kept.log().ended().isEmpty()) {
        started
            .program()
            .poll(LOOK)
            .ifPresent(event -> {
              switch (event) {
                case ProgramEvent.Output(var stream, var bytes) -> kept.log().add(stream, bytes);
                case ProgramEvent.Exited(var status) ->
                    kept.log().end(new DetachedProgram.End.Exited(status));
              }
            });
      }
    } catch (ForkdException e) {
      LOG.debug("event=detached_lost program={} reason=\"{}\"", kept.started().name(), e.failure());
      kept.log().end(new DetachedProgram.End.Lost(e.failure()));
    }
  }

  /** Those of a sandbox, the oldest first. */
  synchronized List<DetachedProgram> list(SandboxId sandbox) {
    return programs.values().stream()
        .filter(kept -> kept.sandbox().equals(sandbox))
        .map(Kept::told)
        .toList();
  }

  DetachedProgram get(SandboxId sandbox, String name) {
    return find(sandbox, name).told();
  }

  /** What it has written from a position on; see {@link OutputLog#read}. */
  Optional<DetachedOutput> read(SandboxId sandbox, String name, long from, Duration patience) {
    return find(sandbox, name).log().read(from, patience);
  }

  /** Ends it if it runs, and forgets it. */
  void end(SandboxId sandbox, String name) {
    Kept kept = find(sandbox, name);
    synchronized (this) {
      programs.remove(name);
    }
    kept.started().close();
  }

  /** Forgets those of a sandbox that has ended. */
  synchronized void forget(SandboxId sandbox) {
    programs.values().removeIf(kept -> kept.sandbox().equals(sandbox));
  }

  private synchronized Kept find(SandboxId sandbox, String name) {
    return Optional.ofNullable(programs.get(name))
        .filter(kept -> kept.sandbox().equals(sandbox))
        .orElseThrow(() ->
            new ForkdException(
                FailureKind.NOT_FOUND,
                "no detached program of that name in sandbox " + sandbox + ": see its programs"));
  }

  private static List<String> words(ProgramSpec.Program program) {
    List<String> words =
        switch (program) {
          case ProgramSpec.Program.Exec(var args) -> args;
          case ProgramSpec.Program.CallModule(var module, var args) -> with(args, "-m", module);
          case ProgramSpec.Program.CallFile(var path, var args) -> with(args, path);
          case ProgramSpec.Program.CallCode(var code, var args) -> with(args, "-c", code);
          case ProgramSpec.Program.Connect(var port) -> List.of("port", Integer.toString(port));
        };
    return words.stream()
        .limit(MAX_WORDS)
        .map(word -> word.length() <= MAX_WORD ? word : word.substring(0, MAX_WORD) + "…")
        .toList();
  }

  private static List<String> with(List<String> args, String... first) {
    return Stream.concat(Stream.of(first), args.stream()).toList();
  }
}
