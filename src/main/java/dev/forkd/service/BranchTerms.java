package dev.forkd.service;

import dev.forkd.model.BranchMode;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Request;

/**
 * What a branch request asks for, once its fields were found to go together.
 *
 * @param mode what is copied
 * @param measure whether a diff is taken as well, for its figures
 * @param await whether the answer waits for the snapshot
 */
record BranchTerms(BranchMode mode, boolean measure, boolean await) {
  /**
   * Reads the mode and the older flags.
   *
   * @throws ForkdException INVALID when they exclude each other
   */
  static BranchTerms of(Request.Branch request) {
    Request.BranchFlags flags = request.flags();
    if (request.mode().isPresent() && (flags.diff() || flags.live())) {
      throw invalid("mode and the flags diff and live exclude each other: give mode alone");
    }
    BranchMode mode =
        request
            .mode()
            .orElse(
                flags.live() ? BranchMode.LIVE : flags.diff() ? BranchMode.DIFF : BranchMode.FULL);
    boolean flagged = flags.diff() && flags.live();
    if (flagged || (flags.measure() && mode != BranchMode.FULL)) {
      throw invalid("measure_diff, diff and live exclude each other: give one of them");
    }
    if (!request.await() && mode != BranchMode.LIVE) {
      throw invalid("wait:false needs mode live: the other modes are done when they answer");
    }
    return new BranchTerms(mode, flags.measure(), request.await());
  }

  private static ForkdException invalid(String message) {
    return new ForkdException(FailureKind.INVALID, message);
  }
}
