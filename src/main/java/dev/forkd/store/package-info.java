/**
 * What outlives a daemon: the state directory with its lock, the registry and snapshot manifests.
 *
 * <p>Invariants: one daemon per state directory; a row that says a snapshot is ready was synced to
 * disk before anybody was told; a sandbox is journaled before anything of it exists, so that the
 * next start knows what there may have been. Names reach a path only as {@code Tag}.
 *
 * <p>Absent on purpose: any notion of engines and templates; images (package {@code image}).
 */
@NullMarked
package dev.forkd.store;

import org.jspecify.annotations.NullMarked;
