package dev.forkd.engine.vm;

import java.nio.file.Path;

/**
 * Pages of a guest's memory in a sparse file, each at its own offset.
 *
 * @param path where it can be opened
 * @param index which pages it has
 * @param digest hex SHA-256 of index and pages (docs/snapshot-format.md), computed once
 */
record PageFile(Path path, PageIndex index, String digest) {}
