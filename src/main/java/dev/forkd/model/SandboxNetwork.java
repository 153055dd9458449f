package dev.forkd.model;

import java.util.List;
import java.util.Optional;

/**
 * How a sandbox is connected.
 *
 * @param policy what it may reach
 * @param netns its network namespace on the host
 * @param refused "ADDRESS PROTOCOL PORT" of what it tried to reach in the last hour and may not;
 *     256 at the most
 * @param ports that are published
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record SandboxNetwork(
    NetworkPolicy policy,
    Optional<String> netns,
    List<String> refused,
    List<PublishedPort> ports) {}
