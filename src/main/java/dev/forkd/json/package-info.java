/**
 * JSON for everybody: one strict, bounded mapper behind {@link dev.forkd.json.Json}.
 *
 * <p>Works on trees, not on bound classes: the wire's null and omission rules are written where the
 * object is built. Absent on purpose: annotations, reflection on records, polymorphic types.
 */
@NullMarked
package dev.forkd.json;

import org.jspecify.annotations.NullMarked;
