package dev.forkd.engine.vm;

import dev.forkd.host.Tool;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Control groups of the virtual machines on this host. {@code forkd-vm} makes them.
 *
 * @param instance label of this daemon
 * @param bases controller to the directory that its groups are in; without those that this host has
 *     not
 */
record Groups(String instance, Map<String, Path> bases) {
  private static final Duration COMMAND = Duration.ofSeconds(20);

  /** What QEMU itself may need beside the guest's RAM: translated code, devices, page tables. */
  private static final long BESIDE_RAM = 512L << 20;

  /** Thousandths of a core for devices, beside what the guest's processors may use. */
  private static final long BESIDE_CPUS = 250;

  Groups {
    bases = Map.copyOf(bases);
  }

  /** Removes what a killed daemon left, and finds out what there is. */
  static Groups prepare(Path wrapper, String instance) {
    String told = Tool.run(List.of(wrapper.toString(), "groups", instance), COMMAND);
    return new Groups(
        instance,
        told.lines()
            .map(line -> line.split(" ", 2))
            .filter(words -> words.length == 2)
            .collect(Collectors.toMap(words -> words[0], words -> Path.of(words[1]))));
  }

  /** The word of {@code forkd-vm run}; empty when nothing can be limited. */
  Optional<String> word(String name, Machine machine, Limits limits) {
    long bytes = bases.containsKey("memory") ? ((long) machine.memoryMib() << 20) + BESIDE_RAM : 0;
    long millis =
        bases.containsKey("cpu") && limits.cpuMillis() > 0 ? limits.cpuMillis() + BESIDE_CPUS : 0;
    long weight = bases.containsKey("io") ? limits.ioWeight() : 0;
    return bytes == 0 && millis == 0 && weight == 0
        ? Optional.empty()
        : Optional.of("group=%s:%s:%d:%d:%d".formatted(instance, name, bytes, millis, weight));
  }

  /** Removes those of a machine that has ended. */
  void remove(String name) {
    for (Path base : bases.values()) {
      try {
        Files.deleteIfExists(base.resolve(name));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** Removes the directories themselves. */
  void close() {
    for (Path base : bases.values()) {
      try {
        Files.deleteIfExists(base);
      } catch (IOException e) {
        throw new ForkdException(FailureKind.ENGINE, "removing " + base + ": " + e);
      }
    }
  }
}
