package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;

/**
 * How much one token may ask for: requests a second, as a bucket that holds two seconds' worth, and
 * requests at once. Thread-safe.
 */
final class Throttle {
  /** No limit. */
  static final Throttle NONE = new Throttle("", 0, 0);

  private final String name;
  private final int rate;
  private final int concurrent;
  private double tokens;
  private long filled = System.nanoTime();
  private int running;

  /**
   * A full bucket.
   *
   * @param name of the token, for messages
   * @param rate requests a second; 0 = no limit
   * @param concurrent requests at once; 0 = no limit
   */
  Throttle(String name, int rate, int concurrent) {
    this.name = name;
    this.rate = rate;
    this.concurrent = concurrent;
    this.tokens = 2.0 * rate;
  }

  /**
   * Lets a request begin; {@link #leave} ends it.
   *
   * @throws ForkdException LIMITED
   */
  synchronized void enter() {
    if (concurrent > 0 && running >= concurrent) {
      throw limited(concurrent + " requests of it run already");
    }
    if (rate > 0) {
      long now = System.nanoTime();
      tokens = Math.min(2.0 * rate, tokens + (now - filled) / 1e9 * rate);
      filled = now;
      if (tokens < 1) {
        throw limited("it may send " + rate + " requests a second");
      }
      tokens--;
    }
    running++;
  }

  synchronized void leave() {
    running--;
  }

  private ForkdException limited(String why) {
    return new ForkdException(
        FailureKind.LIMITED, "token " + name + ": " + why + "; wait and retry");
  }
}
