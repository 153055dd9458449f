/** Network namespaces of sandboxes, for all engines: what {@code forkd-net} makes and removes. */
@NullMarked
package dev.forkd.engine.network;

import org.jspecify.annotations.NullMarked;
