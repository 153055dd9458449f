package dev.forkd.service;

import dev.forkd.engine.Guest;
import dev.forkd.store.SandboxRow;

/**
 * A forked child that has answered.
 *
 * @param row its journal entry
 * @param guest to talk to
 * @param readyMs from the start of its batch to its answer
 */
record Child(SandboxRow row, Guest guest, double readyMs) {}
