package dev.forkd.engine;

import dev.forkd.model.BranchMode;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.time.Duration;

/**
 * How a running sandbox becomes a snapshot; pure data.
 *
 * @param tag the new snapshot's
 * @param dir an empty directory of mode 0700 that the engine may fill. The caller renames it when
 *     all is well and removes it otherwise: nothing in it may say where it lies
 * @param mode what is copied, and when the sandbox stands still
 * @param deadline for all of it
 */
public record BranchPlan(Tag tag, Path dir, BranchMode mode, Duration deadline) {}
