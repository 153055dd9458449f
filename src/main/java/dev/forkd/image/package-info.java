/**
 * From a recipe's text to a root file system that an engine can use.
 *
 * <p>{@link dev.forkd.image.RecipeParser} reads recipes strictly: what it does not know it refuses,
 * with line and remedy. {@link dev.forkd.image.ImageStore} builds what the recipe asks for, once
 * per content digest, beside its final place and renamed into it, so that an image either exists
 * whole or not at all. Built images are never changed afterwards.
 *
 * <p>Absent on purpose: mounting (the launcher does that), snapshots, and any decision about which
 * image may be removed.
 */
@NullMarked
package dev.forkd.image;

import org.jspecify.annotations.NullMarked;
