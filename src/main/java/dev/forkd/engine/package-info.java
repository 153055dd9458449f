/**
 * What an engine is: warms a template, forks it, and lets a guest be talked to.
 *
 * <p>Plans go down as pure data, outcomes come up; an engine never calls the service. The contract
 * suite (test package {@code dev.forkd.contract}) holds for every engine. Absent on purpose: names
 * of namespaces, cgroups, QEMU or any other means.
 */
@NullMarked
package dev.forkd.engine;

import org.jspecify.annotations.NullMarked;
