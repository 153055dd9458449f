/**
 * Thin wrappers over what Linux offers: child processes, unix sockets, {@code /proc}, deadlines.
 *
 * <p>Each wait is bounded and each process has one owner. Absent on purpose: anything that needs
 * privilege (only the launcher does that) and anything that knows what a sandbox is.
 */
@NullMarked
package dev.forkd.host;

import org.jspecify.annotations.NullMarked;
