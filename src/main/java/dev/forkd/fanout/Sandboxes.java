package dev.forkd.fanout;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The sandboxes of a run: forked from one template, destroyed together. */
final class Sandboxes implements AutoCloseable {
  private final ForkdClient client;
  private final Tag tag;
  private final int memoryMib;
  private final List<SandboxId> all = new ArrayList<>();
  private final Deque<SandboxId> unused = new ArrayDeque<>();

  /**
   * None yet.
   *
   * @param memoryMib limit of each; 0 = none
   */
  Sandboxes(ForkdClient client, Tag tag, int memoryMib) {
    this.client = client;
    this.tag = tag;
    this.memoryMib = memoryMib;
  }

  /** Forks so many; none when it is not positive. */
  void fork(int count) {
    if (count <= 0) {
      return;
    }
    ObjectNode request = Json.object().put("snapshot_tag", tag.text()).put("n", count);
    if (memoryMib > 0) {
      request.put("memory_limit_mib", memoryMib);
    }
    JsonNode made = client.fork(request);
    for (JsonNode one : made) {
      SandboxId id = new SandboxId(one.path("id").asString(""));
      all.add(id);
      unused.add(id);
    }
  }

  int free() {
    return unused.size();
  }

  /** One that nobody uses. */
  SandboxId take() {
    if (unused.isEmpty()) {
      fork(1);
    }
    return unused.remove();
  }

  @Override
  public void close() {
    List<Thread> destroying = new ArrayList<>();
    for (SandboxId id : all) {
      destroying.add(Thread.ofVirtual().start(() -> destroy(id)));
    }
    for (Thread one : destroying) {
      try {
        one.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return; // the others are being destroyed all the same
      }
    }
  }

  private void destroy(SandboxId id) {
    try {
      client.destroy(id);
    } catch (ForkdException e) {
      if (e.kind() != FailureKind.NOT_FOUND) {
        throw e;
      }
    }
  }
}
