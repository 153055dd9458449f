package dev.forkd.engine;

import dev.forkd.model.EvalResult;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ForwardedProgram;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells a SIGKILL for want of memory from any other: only the control group knows, and only as a
 * count, so a kill is put down to memory when the count has grown since it was last asked.
 */
public final class MemoryWatch {
  private static final Logger LOG = LoggerFactory.getLogger(MemoryWatch.class);
  private static final int SIGKILL = 9;

  private final SandboxId id;
  private final LongSupplier oomKills;
  private final AtomicLong known = new AtomicLong();

  /**
   * A watch.
   *
   * @param oomKills asks how many processes of the sandbox were killed for want of memory
   */
  public MemoryWatch(SandboxId id, LongSupplier oomKills) {
    this.id = id;
    this.oomKills = oomKills;
  }

  /** The program, whose last event tells when memory was what ended it. */
  public RunningProgram watch(RunningProgram program) {
    return new Watched(program);
  }

  /** The result, which tells when memory was what ended the session. */
  public EvalResult explain(EvalResult result) {
    String error = result.error();
    boolean killed = error.startsWith("SessionEnded:") && error.contains("SIGKILL");
    return killed && grown() ? result.withError(error + " (out of memory)") : result;
  }

  private ProgramEvent explain(ProgramEvent event) {
    return switch (event) {
      case ProgramEvent.Output output -> output;
      case ProgramEvent.Exited(ExitStatus status) ->
          status.signal() == SIGKILL && !status.timedOut() && grown()
              ? new ProgramEvent.Exited(status.forWantOfMemory())
              : event;
    };
  }

  private boolean grown() {
    try {
      long now = oomKills.getAsLong();
      boolean more = known.getAndAccumulate(now, Math::max) < now;
      if (more) {
        LOG.info("event=out_of_memory id={} kills={}", id, now);
      }
      return more;
    } catch (ForkdException e) {
      // The sandbox is gone; that is told by itself.
      LOG.debug("event=usage_unknown reason=\"{}\"", e.getMessage());
      return false;
    }
  }

  private final class Watched extends ForwardedProgram {
    Watched(RunningProgram program) {
      super(program);
    }

    @Override
    public ProgramEvent next(Duration deadline) {
      return explain(super.next(deadline));
    }
  }
}
