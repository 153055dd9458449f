package dev.forkd.store;

import dev.forkd.model.SandboxId;
import dev.forkd.model.SandboxOptions;

/**
 * What the next daemon must know of a sandbox to take it over.
 *
 * @param id its name
 * @param options what was said of it, its times as last renewed
 * @param sinceNanos when its time to live began, on the host's monotonic clock
 * @param readyMs from the request to its answer
 */
public record Terms(SandboxId id, SandboxOptions options, long sinceNanos, double readyMs) {}
