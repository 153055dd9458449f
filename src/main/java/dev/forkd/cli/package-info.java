/**
 * The command line: one file per verb, flags in, text or JSON out.
 *
 * <p>A command reads and writes its {@link dev.forkd.cli.Console} and nothing else of the process
 * it runs in, because the same commands run in two places: in a JVM of their own, and inside the
 * daemon for the relay ({@link dev.forkd.cli.RelayServer}), which spares the start of a JVM. Both
 * talk REST to the daemon through {@link dev.forkd.client.ForkdClient}.
 *
 * <p>Exit codes come from {@link dev.forkd.model.FailureKind}; exec and call pass the program's
 * code through and use 125 for trouble of their own. Absent on purpose: anything that knows an
 * engine, the registry or how the daemon serves; what a command needs of those comes by {@link
 * dev.forkd.cli.Wiring}.
 */
@NullMarked
package dev.forkd.cli;

import org.jspecify.annotations.NullMarked;
