/**
 * The process engine: sandboxes are forks of a warmed interpreter in Linux namespaces; see
 * docs/process-engine.md.
 *
 * <p>Nothing here unshares, mounts or signals: the launcher, one long-lived native peer on two
 * pipes, does that. When it dies, everything below it is gone, each template and guest is told so
 * in a sentence, and the next warm-up starts another. Absent on purpose: what a snapshot or a lease
 * is.
 */
@NullMarked
package dev.forkd.engine.process;

import org.jspecify.annotations.NullMarked;
