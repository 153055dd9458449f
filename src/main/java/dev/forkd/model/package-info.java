/**
 * The words of forkd as values: names, requests, plans' ingredients, results and failures.
 *
 * <p>Everything here is immutable, checked at construction and free of I/O; the package depends on
 * nothing else of forkd. Absent on purpose: anything that knows HTTP, JSON, files or an engine.
 */
@NullMarked
package dev.forkd.model;

import org.jspecify.annotations.NullMarked;
