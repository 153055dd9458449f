package dev.forkd.service;

import dev.forkd.engine.Engine;
import dev.forkd.engine.Guest;
import dev.forkd.engine.Survivor;
import dev.forkd.model.ForkdException;
import dev.forkd.model.RootImage;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotStatus;
import dev.forkd.model.Tag;
import dev.forkd.store.ProcessStamp;
import dev.forkd.store.SandboxRow;
import dev.forkd.store.SnapshotRow;
import dev.forkd.store.Terms;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What this daemon takes over from the last one: live templates of snapshots that it knows, and
 * their sandboxes that somebody was given. Everything else that lives is ended.
 */
final class Adoption {
  private static final Logger LOG = LoggerFactory.getLogger(Adoption.class);
  private static final Duration ANSWER = Duration.ofSeconds(10);
  private static final long MIB = 1 << 20;

  private final Parts parts;
  private final Snapshots snapshots;
  private final Warming warming;
  private final Map<Tag, WarmTemplate> templates = new HashMap<>();
  private final Map<SandboxId, Adopted> sandboxes = new ConcurrentHashMap<>();

  /** A sandbox that answers again. */
  record Adopted(Guest guest, WarmTemplate template, Terms terms) {}

  private Adoption(Parts parts, Snapshots snapshots, Warming warming) {
    this.parts = parts;
    this.snapshots = snapshots;
    this.warming = warming;
  }

  /** Takes over what can be; when this returns nothing else of the last daemon's is left. */
  static Adoption of(Parts parts, Snapshots snapshots, Warming warming) {
    Adoption adoption = new Adoption(parts, snapshots, warming);
    parts.engines().values().forEach(adoption::takeOver);
    parts.registry().retainTemplates(adoption.templates.keySet());
    return adoption;
  }

  /** The sandboxes that answer again. */
  Map<SandboxId, Adopted> sandboxes() {
    return Map.copyOf(sandboxes);
  }

  /** Makes the templates those of their snapshots. */
  void install() {
    templates.forEach(snapshots::adopted);
  }

  private void takeOver(Engine engine) {
    List<Survivor> survivors = engine.survivors();
    if (!survivors.isEmpty()) {
      Map<String, Tag> tags =
          parts.registry().templates().entrySet().stream()
              .collect(Collectors.toMap(Map.Entry::getValue, Map.Entry::getKey));
      Map<SandboxId, SandboxRow> journal =
          parts.registry().sandboxes().stream()
              .filter(row -> row.state() == SandboxRow.State.RUNNING)
              .collect(Collectors.toMap(SandboxRow::id, Function.identity()));
      survivors.forEach(one ->
          Optional.ofNullable(tags.get(one.template()))
              .flatMap(tag -> template(engine, tag, one))
              .ifPresent(template -> takeOver(one, template, journal)));
    }
    engine.endSurvivors();
  }

  private Optional<WarmTemplate> template(Engine engine, Tag tag, Survivor survivor) {
    Optional<SnapshotRow> known =
        snapshots
            .find(tag)
            .filter(row -> row.status() == SnapshotStatus.READY)
            .filter(row -> row.engine() == engine.name() && !row.origin().branched());
    try {
      Optional<WarmTemplate> template =
          known.flatMap(row ->
              parts.images().find(row.imageDigest()).map(image -> adopt(row, image, survivor)));
      template.ifPresent(live -> templates.put(tag, live));
      return template;
    } catch (ForkdException e) {
      LOG.warn("event=template_not_adopted tag={} reason=\"{}\"", tag, e.getMessage());
      return Optional.empty();
    }
  }

  private WarmTemplate adopt(SnapshotRow row, RootImage image, Survivor survivor) {
    return warming.adopt(row, Creation.recipe(row), image, survivor);
  }

  private void takeOver(
      Survivor survivor, WarmTemplate template, Map<SandboxId, SandboxRow> journal) {
    Map<SandboxId, Terms> terms = parts.registry().terms();
    Together.each(
        survivor.sandboxes().entrySet(),
        one -> {
          SandboxId id = one.getKey();
          Optional<SandboxRow> row =
              Optional.ofNullable(journal.get(id))
                  .filter(it -> it.pid() == one.getValue())
                  .filter(it -> ProcessStamp.living(it.pid(), it.stamp()).isPresent());
          Optional<Terms> said = Optional.ofNullable(terms.get(id));
          if (row.isEmpty() || said.isEmpty()) {
            template.template().end(List.of(id));
            return;
          }
          guest(row.get(), template)
              .ifPresent(guest -> sandboxes.put(id, new Adopted(guest, template, said.get())));
        });
  }

  private static Optional<Guest> guest(SandboxRow row, WarmTemplate template) {
    try {
      long limit = row.memoryLimitMib() * MIB;
      return Optional.of(template.template().adopt(row.id(), row.pid(), limit, ANSWER));
    } catch (ForkdException e) {
      LOG.warn("event=sandbox_not_adopted id={} reason=\"{}\"", row.id(), e.getMessage());
      return Optional.empty();
    }
  }
}
