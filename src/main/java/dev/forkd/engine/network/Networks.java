package dev.forkd.engine.network;

import dev.forkd.host.Subprocess;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Network namespaces of sandboxes. Each serves one sandbox and is removed with it; a few are made
 * ahead, as that takes longer than a fork from a pool. {@code forkd-net} makes and removes them,
 * and notes each in a directory, so that the next start finds what a killed daemon left.
 * Thread-safe.
 */
public final class Networks implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Networks.class);
  private static final Pattern NAME = Pattern.compile("forkd-child-[1-9][0-9]{0,3}");
  private static final Duration COMMAND = Duration.ofSeconds(20);
  private static final Duration GRACE = Duration.ofSeconds(2);
  private static final int AHEAD = 4;

  private final Path program;
  private final Path records;
  private final Card card;
  private final Map<Network, Deque<String>> spare = new EnumMap<>(Network.class);
  private boolean filling;
  private boolean closed;

  /** What a sandbox is connected with. */
  public enum Card {
    /** A virtual machine's tap. */
    TAP,
    /** A pair of devices; see {@link #plug}. */
    PAIR
  }

  /** Removes what is noted in {@code records}. */
  public Networks(Path program, Path records, Card card) {
    this.program = program;
    this.records = records;
    this.card = card;
    try {
      Files.createDirectories(records);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "preparing " + records + ": " + e).thrown(e);
    }
    String removed = run("", "sweep", records.toString()).strip();
    if (!removed.equals("0")) {
      LOG.warn("event=networks_swept n={}", removed);
    }
  }

  private String run(String input, String... words) {
    List<String> argv = new ArrayList<>(List.of(program.toString()));
    argv.addAll(List.of(words));
    return Tool.run(argv, input, COMMAND);
  }

  /**
   * A network that nobody else uses; the caller gives it to {@link #remove}.
   *
   * @throws ForkdException EXHAUSTED, ENGINE
   */
  public String take(Network kind) {
    String name;
    synchronized (this) {
      if (closed) {
        throw new ForkdException(FailureKind.ENGINE, "the engine is closed");
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
    String word = card.name().toLowerCase(Locale.ROOT);
    String name = run("", "add", records.toString(), kind.word(), word).strip();
    if (!NAME.matcher(name).matches()) {
      throw new ForkdException(FailureKind.ENGINE, "forkd-net made no network but: " + name);
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

  /**
   * Gives a sandbox that is processes a device in the network.
   *
   * @param pid of its agent
   */
  void plug(String name, long pid) {
    run("", "plug", name, Long.toString(pid));
  }

  /** Takes that away, at once. */
  void unplug(long pid) {
    run("", "unplug", Long.toString(pid));
  }

  /** Replaces what the network lets through; lines as {@code native/net/rules.c} reads them. */
  void rules(String name, List<String> lines) {
    run(String.join("\n", lines) + "\n", "rules", name);
  }

  /** "ADDRESS PROTOCOL PORT" of what the network refused lately. */
  List<String> refused(String name) {
    return run("", "refused", name).lines().toList();
  }

  /** Starts what passes connections on; it says its port first. The caller closes it. */
  Subprocess forward(String name, String address, int port, int target) {
    return Subprocess.start(
        List.of(
            program.toString(),
            "forward",
            name,
            address,
            Integer.toString(port),
            Integer.toString(target)),
        Tool.ENV,
        GRACE);
  }

  /** Starts what a sandbox asks for names; see {@link NameServer}. The caller closes it. */
  Subprocess questions(String name) {
    return Subprocess.start(List.of(program.toString(), "questions", name), Tool.ENV, GRACE);
  }

  /** Removes it with everything in it. */
  public void remove(String name) {
    run("", "remove", records.toString(), name);
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
