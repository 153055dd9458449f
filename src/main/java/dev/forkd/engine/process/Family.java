package dev.forkd.engine.process;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Everything that lives below one launcher, by name: where its events go. Thread-safe. */
final class Family implements LauncherClient.Listener {
  private static final Logger LOG = LoggerFactory.getLogger(Family.class);

  private final Map<String, Fate> sandboxes = new ConcurrentHashMap<>();
  private final Map<String, Fate> templates = new ConcurrentHashMap<>();

  /** Ends of templates that were told before the template was registered: of found ones. */
  private final Map<String, Fields> early = new ConcurrentHashMap<>();

  /**
   * Registers sandboxes before they are asked for, so that no event about them is missed.
   *
   * @return the fate of each, in the same order
   * @throws ForkdException CONFLICT when one of the names lives already; none is registered then
   */
  List<Fate> addSandboxes(List<String> names, long memoryLimit) {
    List<Fate> added = new ArrayList<>();
    for (String name : names) {
      Fate fate = new Fate("sandbox " + name, memoryLimit);
      if (sandboxes.putIfAbsent(name, fate) != null) {
        removeSandboxes(names.subList(0, added.size()));
        throw new ForkdException(FailureKind.CONFLICT, "sandbox " + name + " exists already");
      }
      added.add(fate);
    }
    return List.copyOf(added);
  }

  void removeSandboxes(Collection<String> names) {
    names.forEach(sandboxes::remove);
  }

  Fate addTemplate(String name, String subject, long memoryLimit) {
    Fate fate = new Fate(subject, memoryLimit);
    templates.put(name, fate);
    Optional.ofNullable(early.remove(name)).ifPresent(fate::tellEnded);
    return fate;
  }

  void removeTemplate(String name) {
    templates.remove(name);
  }

  @Override
  public void event(Frame frame) {
    Fields fields = frame.fields();
    String name = fields.text(FieldKey.NAME);
    LOG.info(
        "event={} name={} exit_code={} signal={} oom_kills={} message=\"{}\"",
        word(frame.type()),
        name,
        fields.integer(FieldKey.EXIT_CODE, 0, Long.MIN_VALUE, Long.MAX_VALUE),
        fields.integer(FieldKey.SIGNAL, 0, Long.MIN_VALUE, Long.MAX_VALUE),
        fields.integer(FieldKey.OOM_KILLS, 0, Long.MIN_VALUE, Long.MAX_VALUE),
        ErrorFrame.oneLine(fields.text(FieldKey.MESSAGE)));
    switch (frame.type()) {
      case FrameType.SANDBOX_ENDED ->
          Optional.ofNullable(sandboxes.get(name)).ifPresent(fate -> fate.tellEnded(fields));
      case FrameType.RUNTIME_LOST ->
          Optional.ofNullable(sandboxes.get(name)).ifPresent(fate -> fate.tellRuntimeEnded(fields));
      case FrameType.TEMPLATE_ENDED ->
          Optional.ofNullable(templates.get(name))
              .ifPresentOrElse(fate -> fate.tellEnded(fields), () -> tooEarly(name, fields));
      default -> LOG.warn("event=launcher_event_unknown type={}", frame.type());
    }
  }

  private void tooEarly(String name, Fields fields) {
    early.put(name, fields);
    Optional.ofNullable(templates.get(name)).ifPresent(fate -> fate.tellEnded(fields));
  }

  private static String word(int type) {
    return switch (type) {
      case FrameType.SANDBOX_ENDED -> "sandbox_ended";
      case FrameType.RUNTIME_LOST -> "runtime_lost";
      case FrameType.TEMPLATE_ENDED -> "template_ended";
      default -> "unknown";
    };
  }

  @Override
  public void ended(Failure reason) {
    templates.values().forEach(fate -> fate.tellEnded(reason.message()));
    sandboxes.values().forEach(fate -> fate.tellEnded(reason.message()));
  }
}
