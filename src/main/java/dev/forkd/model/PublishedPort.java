package dev.forkd.model;

/**
 * A port of a sandbox that can be reached on the host.
 *
 * @param port of the sandbox
 * @param address IPv4 address of the host
 * @param hostPort on it
 */
public record PublishedPort(int port, String address, int hostPort) {}
