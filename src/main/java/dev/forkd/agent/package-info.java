/**
 * The host's end of the agent channel (docs/agent-protocol.md): many requests at once on one
 * connection to PID 1 of a sandbox.
 *
 * <p>Invariants: whatever the agent sends, or fails to send, costs at most bounded memory and
 * bounded time; a broken protocol ends the connection and fails everything that is open on it with
 * one sentence; output that nobody takes makes the program wait, it is never dropped. Absent on
 * purpose: how the sandbox was made.
 */
@NullMarked
package dev.forkd.agent;

import org.jspecify.annotations.NullMarked;
