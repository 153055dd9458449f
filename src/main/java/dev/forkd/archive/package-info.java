/**
 * Trees of files as tar, between a sandbox and the outside.
 *
 * <p>Invariant: whatever an archive holds, nothing is made outside the directory that it is
 * unpacked into. Names are relative and without {@code ..}; links come last, when no file is
 * written any more, and lead to places inside the tree; devices, pipes and hard links are refused.
 *
 * <p>Absent on purpose: compression, owners, extended attributes.
 */
@NullMarked
package dev.forkd.archive;

import org.jspecify.annotations.NullMarked;
