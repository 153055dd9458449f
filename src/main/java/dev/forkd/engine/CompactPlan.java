package dev.forkd.engine;

import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.time.Duration;

/**
 * How a snapshot is written as one that needs no other; pure data.
 *
 * @param tag the new snapshot's
 * @param dir as {@link BranchPlan#dir}
 * @param deadline for all of it
 */
public record CompactPlan(Tag tag, Path dir, Duration deadline) {}
