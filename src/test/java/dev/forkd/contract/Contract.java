package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.Failure;
import dev.forkd.model.ForkdException;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** What the parts of the suite share. */
public interface Contract {
  /** The engine under test. */
  Bench bench();

  /** The failure that a call must throw. */
  static Failure failureOf(ThrowingCallable call) {
    Failure[] thrown = new Failure[1];
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(ForkdException.class, e -> thrown[0] = e.failure());
    return thrown[0];
  }
}
