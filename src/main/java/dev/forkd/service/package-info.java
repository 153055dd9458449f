/**
 * What forkd does: snapshots, sandboxes, pools, programs and who may use what at a time.
 *
 * <p>{@link dev.forkd.service.Forkd} answers every {@code model.Request} in one switch. Plans go
 * down to an engine as data, outcomes come up; state changes happen in one method of one owner
 * under that owner's lock, and no lock is held while an engine works.
 *
 * <p>Invariants: a fork is all or nothing; a template is closed only when nothing that was forked
 * from it lives; whatever is told of a snapshot as ready is in the registry first.
 *
 * <p>Absent on purpose: HTTP, JSON shapes of the API, the means of an engine.
 */
@NullMarked
package dev.forkd.service;

import org.jspecify.annotations.NullMarked;
