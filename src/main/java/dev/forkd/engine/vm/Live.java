package dev.forkd.engine.vm;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Everything of one engine that has to be ended with it. Thread-safe. */
final class Live {
  private final Set<SandboxId> ids = ConcurrentHashMap.newKeySet();
  private final Set<VmTemplate> templates = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;

  /** Names of all sandboxes. */
  Set<SandboxId> ids() {
    return ids;
  }

  /** Registers a template; ENGINE, and it is closed, when the engine is. */
  VmTemplate add(VmTemplate template) {
    templates.add(template);
    if (closed) {
      template.close();
      throw new ForkdException(FailureKind.ENGINE, "the vm engine is closed");
    }
    return template;
  }

  void remove(VmTemplate template) {
    templates.remove(template);
  }

  /** Ends all templates and whatever comes later. */
  void close() {
    closed = true;
    List<VmTemplate> all = new ArrayList<>(templates);
    all.forEach(VmTemplate::close);
  }
}
