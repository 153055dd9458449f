package dev.forkd.engine.process;

import dev.forkd.engine.Survivor;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.host.UnixSocket;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the launcher of an earlier daemon told that it has. */
final class Found {
  private static final Logger LOG = LoggerFactory.getLogger(Found.class);
  private static final Duration CONNECT = Duration.ofSeconds(5);

  private final Map<String, Long> uidBases = new LinkedHashMap<>();
  private final Map<String, Map<SandboxId, Long>> sandboxes = new HashMap<>();
  private final Set<String> left = new TreeSet<>();

  Found(Fields answer) {
    for (Fields template : answer.nested(FieldKey.TEMPLATE)) {
      String name = template.text(FieldKey.NAME);
      uidBases.put(name, template.integer(FieldKey.UID_BASE, 0, 0, Integer.MAX_VALUE));
      sandboxes.put(name, new HashMap<>());
    }
    for (Fields child : answer.nested(FieldKey.CHILD)) {
      Optional.ofNullable(sandboxes.get(child.text(FieldKey.TEMPLATE)))
          .orElseThrow()
          .put(
              new SandboxId(child.text(FieldKey.NAME)),
              child.integer(FieldKey.PID, 0, 1, Integer.MAX_VALUE));
    }
    left.addAll(uidBases.keySet());
  }

  /** A connection to the launcher of an earlier daemon; empty when there is none. */
  static Optional<SocketChannel> connect(ProcessPaths paths) {
    if (!Files.exists(paths.launcherSocket())) {
      return Optional.empty();
    }
    try {
      return Optional.of(UnixSocket.connect(paths.launcherSocket(), CONNECT));
    } catch (IOException e) {
      // It was killed, and with it everything below it.
      LOG.info("event=no_launcher_found reason=\"{}\"", e.toString());
      return Optional.empty();
    }
  }

  /** Its templates. */
  List<Survivor> survivors() {
    return uidBases.keySet().stream()
        .map(name -> new Survivor(name, Map.copyOf(sandboxes.getOrDefault(name, Map.of()))))
        .toList();
  }

  /** First uid of each template, by its name. */
  Map<String, Long> uidBases() {
    return Map.copyOf(uidBases);
  }

  /** Marks a template as taken over; its first uid. */
  synchronized long take(String template) {
    left.remove(template);
    return Optional.ofNullable(uidBases.get(template)).orElseThrow();
  }

  /** Those that were not taken over. */
  synchronized Set<String> left() {
    return Set.copyOf(left);
  }

  /** A failure to take over, as it is logged. */
  static void refused(ForkdException e) {
    LOG.warn("event=launcher_not_adopted reason=\"{}\"", e.getMessage());
  }
}
