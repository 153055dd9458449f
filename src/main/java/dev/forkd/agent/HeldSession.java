package dev.forkd.agent;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import java.time.Duration;

/**
 * An eval session that rests: it has frozen a copy of itself, or told why that cannot be. What the
 * session says is the sandbox's word.
 */
public final class HeldSession implements AutoCloseable {
  private static final Duration RELEASE_WAIT = Duration.ofSeconds(10);
  private static final long STILL_MAX_US = 3_600_000_000L;

  private final Multiplexer frames;
  private final Exchange exchange;
  private final String about;
  private final Fields told;
  private final long answered = System.nanoTime();

  HeldSession(Multiplexer frames, Exchange exchange, String about, Fields told) {
    this.frames = frames;
    this.exchange = exchange;
    this.about = about;
    this.told = told;
  }

  /** The copy's process id in the sandbox; 0 when there is none. */
  public long copy() {
    return told.integer(FieldKey.PID, 0, 0, Integer.MAX_VALUE);
  }

  /** JSON of the session: what was refused, and warnings. */
  public String report() {
    return told.text(FieldKey.REPORT);
  }

  /** How long the session has stood still by now. */
  public Duration still() {
    long before = told.integer(FieldKey.DURATION_US, 0, 0, STILL_MAX_US) * 1_000;
    return Duration.ofNanos(before + System.nanoTime() - answered);
  }

  /** Lets the session go on; returns when it does. */
  @Override
  public void close() {
    if (exchange.ended()) {
      return;
    }
    try {
      frames.send(new Frame(FrameType.CANCEL, exchange.id(), Fields.NONE));
      Frame last = exchange.awaitLast(Deadline.after(RELEASE_WAIT), about);
      if (last.type() == FrameType.ERROR) {
        throw ErrorFrame.failure(about, last.fields()).thrown();
      }
    } finally {
      frames.abandon(exchange);
    }
  }
}
