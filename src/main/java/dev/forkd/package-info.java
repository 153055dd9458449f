/**
 * Where forkd starts: {@link dev.forkd.Main} picks the implementations and wires them.
 *
 * <p>Nothing else lives here; docs/architecture.md has the map of the packages below.
 */
@NullMarked
package dev.forkd;

import org.jspecify.annotations.NullMarked;
