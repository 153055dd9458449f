/**
 * The framing that every channel of forkd speaks; docs/agent-protocol.md is its reference.
 *
 * <p>Bytes in, values out. What is read is bounded (1 MiB a frame), checked (no field runs over its
 * frame) and decoded leniently: the sender may be hostile. Absent on purpose: sockets, threads and
 * the meaning of any frame.
 */
@NullMarked
package dev.forkd.frame;

import org.jspecify.annotations.NullMarked;
