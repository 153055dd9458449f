package dev.forkd.engine.vm;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Network namespaces of sandboxes. Each serves one sandbox and is removed with it; a few are made
 * ahead, as that takes longer than a fork from a pool. {@code forkd-vm} makes and removes them, and
 * notes each in a directory, so that the next start finds what a killed daemon left. Thread-safe.
 */
final class Networks implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Networks.class);
  private static final Pattern NAME = Pattern.compile("forkd-child-[1-9][0-9]{0,3}");
  private static final Duration COMMAND = Duration.ofSeconds(20);
  private static final int AHEAD = 4;

  private final Path wrapper;
  private final Path records;
  private final Map<Network, Deque<String>> spare = new EnumMap<>(Network.class);
  private boolean filling;
  private boolean closed;

  /** Removes what is noted in {@code records}. */
  Networks(Path wrapper, Path records) {
    this.wrapper = wrapper;
    this.records = records;
    try {
      Files.createDirectories(records);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "preparing " + records + ": " + e).thrown(e);
    }
    String removed =
        Tool.run(List.of(wrapper.toString(), "net-sweep", records.toString()), COMMAND);
    if (!removed.strip().equals("0")) {
      LOG.warn("event=networks_swept n={}", removed.strip());
    }
  }

  /**
   * A network that nobody else uses; the caller gives it to {@link #remove}.
   *
   * @throws ForkdException EXHAUSTED, ENGINE
   */
  String take(Network kind) {
    String name;
    synchronized (this) {
      if (closed) {
        throw new ForkdException(FailureKind.ENGINE, "the vm engine is closed");
      }
      name = ready(kind).poll();
    }
    refill(kind);
    return name == null ? make(kind) : name;
  }

  private Deque<String> ready(Network kind) {
    return spare.computeIfAbsent(kind, _ -> new ArrayDeque<>());
  }

  private String make(Network kind) {
    String name =
        Tool.run(List.of(wrapper.toString(), "net-add", records.toString(), kind.word()), COMMAND)
            .strip();
    if (!NAME.matcher(name).matches()) {
      throw new ForkdException(FailureKind.ENGINE, "forkd-vm made no network but: " + name);
    }
    return name;
  }

  private void refill(Network kind) {
    synchronized (this) {
      if (closed || filling || ready(kind).size() >= AHEAD) {
        return;
      }
      filling = true;
    }
    Thread.ofVirtual().name("networks").start(() -> fill(kind));
  }

  private void fill(Network kind) {
    try {
      while (isMissing(kind)) {
        String name = make(kind);
        if (!keep(kind, name)) {
          remove(name);
        }
      }
    } catch (ForkdException e) {
      // Whoever needs one makes it, and is told why it cannot be.
      LOG.warn("event=networks_not_refilled reason=\"{}\"", e.getMessage());
      synchronized (this) {
        filling = false;
      }
    }
  }

  private synchronized boolean isMissing(Network kind) {
    filling = !closed && ready(kind).size() < AHEAD;
    return filling;
  }

  private synchronized boolean keep(Network kind, String name) {
    return !closed && ready(kind).add(name);
  }

  /** Removes it with everything in it. */
  void remove(String name) {
    Tool.run(List.of(wrapper.toString(), "net-remove", records.toString(), name), COMMAND);
  }

  @Override
  public void close() {
    List<String> left;
    synchronized (this) {
      closed = true;
      left = spare.values().stream().flatMap(Deque::stream).toList();
      spare.clear();
    }
    left.forEach(this::remove);
  }
}
