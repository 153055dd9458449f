/**
 * One run of a test suite over forked sandboxes: finds out what is to be tested, keeps the template
 * in which it was collected, and carries bytes between the controller and its workers. What to run
 * where, and what came of it, is decided by {@code python/forkd_pytest} in the controller's
 * sandbox; nothing here knows pytest.
 */
@NullMarked
package dev.forkd.fanout;

import org.jspecify.annotations.NullMarked;
