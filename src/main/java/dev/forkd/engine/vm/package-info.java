/**
 * The engine of virtual machines: a warmed QEMU microVM is frozen once, and every sandbox is a QEMU
 * process of its own that maps the frozen memory copy-on-write.
 *
 * <p>Invariants: a template's memory is sealed before the first fork; a sandbox is handed out only
 * after it has acknowledged an identity of its own; QEMU never runs as root and dies with the
 * daemon. See docs/vm-engine.md. Absent on purpose: writable disks.
 */
@NullMarked
package dev.forkd.engine.vm;

import org.jspecify.annotations.NullMarked;
