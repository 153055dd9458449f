package dev.forkd.engine.process;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.BitSet;

/**
 * Ranges of 65 536 uids, one for each live template, so that templates cannot touch one another's
 * files or processes even outside their namespaces. Thread-safe.
 */
final class UidRanges {
  static final long SIZE = 65_536;

  /**
   * Above the ids that systemd's conventions (UIDS-GIDS) give to people, subordinate users and
   * containers; all ranges end below 2^31, where programs with signed ids stumble.
   */
  private static final long FIRST = 0x7000_0000L;

  private static final int COUNT = 4_000;

  private final BitSet taken = new BitSet(COUNT);

  /** The first uid of a range that nobody has. */
  synchronized long take() {
    int free = taken.nextClearBit(0);
    if (free >= COUNT) {
      throw new ForkdException(
          FailureKind.EXHAUSTED,
          COUNT + " templates are live, the most; delete snapshots that are not needed");
    }
    taken.set(free);
    return FIRST + free * SIZE;
  }

  /** Takes the range that begins there: a template that was found has it. */
  synchronized void take(long first) {
    taken.set(index(first));
  }

  private static int index(long first) {
    long index = (first - FIRST) / SIZE;
    if (first < FIRST || index >= COUNT) {
      throw new ForkdException(FailureKind.ENGINE, "uid " + first + " begins no range of ours");
    }
    return (int) index;
  }

  synchronized void release(long first) {
    taken.clear(index(first));
  }
}
