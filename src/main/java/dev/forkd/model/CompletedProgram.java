package dev.forkd.model;

/**
 * What a program that ran to its end gave.
 *
 * @param stdout decoded leniently, at most 8 MiB
 * @param stderr as stdout
 * @param status how it ended
 * @param truncated whether output beyond the bound was read and dropped
 * @param warm whether it ran in a fork of the warm runtime
 * @param error why it did not start or was ended by forkd; "" when neither is so
 */
public record CompletedProgram(
    String stdout,
    String stderr,
    ExitStatus status,
    boolean truncated,
    boolean warm,
    String error) {}
