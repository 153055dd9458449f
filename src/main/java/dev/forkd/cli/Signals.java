package dev.forkd.cli;

import java.util.function.IntConsumer;

/** Delivers signals of the caller's process to the command, one handler at a time. Thread-safe. */
public final class Signals {
  public static final int SIGINT = 2;
  public static final int SIGTERM = 15;

  private volatile IntConsumer handler;

  /** Signals that {@code fallback} gets while no command wants them. */
  public Signals(IntConsumer fallback) {
    this.handler = fallback;
  }

  /** Signals that interrupt a thread while no command wants them. */
  public static Signals interrupting(Thread thread) {
    return new Signals(number -> thread.interrupt());
  }

  /** Delivers a signal. */
  public void raise(int number) {
    handler.accept(number);
  }

  /** Sends signals to {@code wanted} until the registration is closed; then as before it. */
  public Registration handle(IntConsumer wanted) {
    IntConsumer before = handler;
    handler = wanted;
    return () -> handler = before;
  }

  /** Ends a handler. */
  public interface Registration extends AutoCloseable {
    @Override
    void close();
  }
}
