package dev.forkd.api;

/**
 * Who asks.
 *
 * @param name of its token, or how it came
 * @param scope what it may do
 * @param secrets whether it may fork snapshots that hold secrets, and use their sandboxes
 * @param throttle what it may ask for at a time
 */
record Caller(String name, Scope scope, boolean secrets, Throttle throttle) {
  /** Somebody who may do everything as often as they like. */
  static Caller trusted(String name) {
    return new Caller(name, Scope.ADMIN, true, Throttle.NONE);
  }
}
