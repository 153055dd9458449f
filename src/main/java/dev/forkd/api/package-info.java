/**
 * The REST API: bytes to one {@code model.Request}, the answer back to bytes.
 *
 * <p>{@link dev.forkd.api.Router} matches, authenticates and turns failures into replies; one small
 * file per resource names its routes and shapes. Invariants: bodies are bounded before they are
 * parsed, a name becomes a {@code Tag} or {@code SandboxId} before it is used, a stream whose
 * client has gone closes what it streamed. docs/api.md and openapi.yaml describe every route; a
 * test holds them to the route table.
 *
 * <p>Absent on purpose: any work of the service, any state beside open streams.
 */
@NullMarked
package dev.forkd.api;

import org.jspecify.annotations.NullMarked;
