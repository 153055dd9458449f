package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.CompletedProgram;
import dev.forkd.model.DetachedProgram;
import dev.forkd.model.EvalResult;
import dev.forkd.model.Event;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.Failure;
import dev.forkd.model.ForkdException;
import dev.forkd.model.LoggedEvent;
import dev.forkd.model.Pong;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SandboxOptions;
import dev.forkd.model.SnapshotDetail;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.Tag;
import dev.forkd.model.WorkspaceInfo;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The JSON shapes of the API: which fields, in which order, and what absence looks like. */
final class Shapes {
  /** Every sandbox answers there in its own network; the text is fixed for old clients. */
  private static final String GUEST_ADDRESS = "10.42.0.2:8888";

  private Shapes() {}

  static ObjectNode failure(Failure failure) {
    ObjectNode node = Json.object();
    tell(node, failure);
    return node;
  }

  static ObjectNode failureEvent(Failure failure) {
    ObjectNode node = Json.object().put("event", "error");
    tell(node, failure);
    return node;
  }

  private static void tell(ObjectNode node, Failure failure) {
    node.put("error", failure.message());
    node.put("kind", failure.kind().word());
    node.put("retryable", failure.kind().retryable());
    if (!failure.detail().isEmpty()) {
      node.put("detail", failure.detail());
    }
  }

  static <T> ArrayNode list(List<T> items, Function<T, ObjectNode> shape) {
    ArrayNode array = Json.array();
    items.forEach(item -> array.add(shape.apply(item)));
    return array;
  }

  /** One event of a stream, with its number. */
  static ObjectNode event(LoggedEvent logged) {
    return event(logged.event()).put("number", logged.number());
  }

  static ObjectNode event(Event event) {
    return Json.object()
        .put("at_unix_ms", event.atUnixMs())
        .put("kind", event.kind())
        .put("subject", event.subject())
        .put("message", event.message());
  }

  /** Optional fields are left out. */
  static ObjectNode snapshot(SnapshotInfo info) {
    ObjectNode node =
        Json.object()
            .put("tag", info.tag().text())
            .put("dir", info.dir().toString())
            .put("created_at_unix", info.createdAtUnix());
    info.branchedFrom().ifPresent(id -> node.put("branched_from", id));
    info.pauseMs().ifPresent(ms -> node.put("pause_ms", ms));
    info.diff()
        .ifPresent(diff ->
            node.put("diff_ms", diff.millis())
                .put("diff_physical_bytes", diff.physicalBytes())
                .put("diff_logical_bytes", diff.logicalBytes()));
    info.parentTag().ifPresent(tag -> node.put("parent_tag", tag));
    info.warning().ifPresent(text -> node.put("warning", text));
    node.put("status", info.status().word())
        .put("bootable", info.bootable())
        .put("engine", info.engine().word())
        .put("warm", info.warm())
        .put("recipe", info.recipe())
        .put("image_digest", info.imageDigest());
    info.warmMs().ifPresent(ms -> node.put("warm_ms", ms));
    node.put("sandboxes", info.sandboxes()).put("secrets", info.marks().secrets());
    info.marks().labels().forEach(node.putObject("labels")::put);
    node.set("runtime", report(info.report()));
    return node;
  }

  /** A snapshot, then what only its own page tells. */
  static ObjectNode detail(SnapshotDetail detail) {
    ObjectNode node =
        snapshot(detail.info())
            .put("memory_logical_bytes", detail.memoryLogicalBytes())
            .put("memory_physical_bytes", detail.memoryPhysicalBytes())
            .put("vmstate_bytes", detail.stateBytes());
    if (!detail.parentTag().isEmpty()) {
      node.put("parent_content_hash", detail.parentHash());
    }
    node.put("chain_depth", detail.ancestors().size());
    tags(node.putArray("dependents"), detail.dependents());
    tags(node.putArray("ancestors"), detail.ancestors());
    return node;
  }

  private static void tags(ArrayNode array, List<Tag> tags) {
    tags.forEach(tag -> array.add(tag.text()));
  }

  /** Optional fields are left out. */
  static ObjectNode workspace(WorkspaceInfo info) {
    ObjectNode node =
        Json.object()
            .put("id", info.id())
            .put("name", info.name().text())
            .put("source_snapshot_tag", info.source().text())
            .put("status", info.status().word());
    info.state().ifPresent(tag -> node.put("current_state_tag", tag));
    info.sandbox().ifPresent(id -> node.put("live_sandbox_id", id));
    info.lastBranchPath().ifPresent(path -> node.put("last_branch_memory_path", path));
    node.put("created_at_unix", info.createdAtUnix())
        .put("last_active_unix", info.activeAtUnix())
        .put("per_child_netns", info.netns());
    info.memoryLimitMib().ifPresent(mib -> node.put("memory_limit_mib", mib));
    return node;
  }

  /** Every field is written; absence is null. */
  static ObjectNode sandbox(SandboxInfo info) {
    ObjectNode node =
        Json.object()
            .put("id", info.id().text())
            .put("snapshot_tag", info.tag().text())
            .put("netns", info.netns().orElse(null))
            .put("guest_addr", GUEST_ADDRESS)
            .put("created_at_unix", info.createdAtUnix())
            .put("pid", info.pid());
    orNull(node, "memory_limit_mib", info.memoryLimitMib());
    node.put("has_branched", info.branches() > 0);
    orNull(node, "last_branch_memory_path", info.lastBranch().orElse(""))
        .put("branch_count", info.branches())
        .put("engine", info.engine().word())
        .put("isolation", info.engine().word())
        .put("state", info.state().name().toLowerCase(Locale.ROOT))
        .put("runtime", word(info.runtime()))
        .put("ready_ms", rounded(info.readyMs()));
    orNull(node, "memory_bytes", info.memoryBytes());
    info.ended().ifPresentOrElse(how -> node.put("ended", how), () -> node.putNull("ended"));
    options(node, info);
    return node.put("secrets", info.secrets());
  }

  private static void options(ObjectNode node, SandboxInfo info) {
    SandboxOptions options = info.options();
    orNull(node, "name", options.name());
    options.labels().forEach(node.putObject("labels")::put);
    seconds(node, "ttl_secs", options.ttl());
    orNull(node, "expires_in_ms", info.millisLeft());
    seconds(node, "idle_timeout_secs", options.idle());
  }

  private static void seconds(ObjectNode node, String field, Duration duration) {
    if (duration.isZero()) {
      node.putNull(field);
    } else {
      node.put(field, BigDecimal.valueOf(duration.toMillis(), 3).stripTrailingZeros());
    }
  }

  static ObjectNode pong(Pong pong) {
    boolean runtime = pong.runtime() != Pong.RuntimeState.NONE;
    ObjectNode report = report(pong.report());
    JsonNode numpy = report.path("numpy_version");
    // What the guest reports comes first, so that it cannot overwrite what we know.
    return report
        .put("pong", true)
        .put("numpy_version", numpy.isString() ? numpy.stringValue() : "not-installed")
        .put("pid", 1)
        .put("agent_lang", runtime ? "python" : "none")
        .put("warmup_ready", pong.runtime() == Pong.RuntimeState.READY)
        .put("runtime", word(pong.runtime()));
  }

  static ObjectNode completed(CompletedProgram program) {
    ObjectNode node =
        Json.object()
            .put("stdout", program.stdout())
            .put("stderr", program.stderr())
            .put("exit_code", program.status().exitCode())
            .put("timed_out", program.status().timedOut())
            .put("out_of_memory", program.status().outOfMemory())
            .put("truncated", program.truncated())
            .put("duration_ms", millis(program.status().duration()))
            .put("warm", program.warm());
    return orNull(node, "error", program.error());
  }

  static ObjectNode program(DetachedProgram program) {
    ObjectNode node = Json.object().put("program", program.name());
    program.command().forEach(node.putArray("command")::add);
    node.put("pid", program.pid())
        .put("warm", program.warm())
        .put("started_at_unix_ms", program.startedAtUnixMs())
        .put("running", program.end().isEmpty());
    Optional<ExitStatus> status = program.status();
    status.ifPresentOrElse(
        known -> node.put("exit_code", known.exitCode()), () -> node.putNull("exit_code"));
    return orNull(node, "error", program.error())
        .put("timed_out", status.map(ExitStatus::timedOut).orElse(false))
        .put("out_of_memory", status.map(ExitStatus::outOfMemory).orElse(false))
        .put("output_from", program.outputFrom())
        .put("output_to", program.outputTo());
  }

  static ObjectNode eval(EvalResult result) {
    ObjectNode node = orNull(Json.object(), "result", result.result());
    orNull(node, "error", result.error());
    node.put("exit_code", result.exitCode())
        .put("stdout", result.stdout())
        .put("stderr", result.stderr());
    orNull(node, "traceback", result.traceback());
    return node.put("truncated", result.truncated()).put("restarted", result.restarted());
  }

  private static ObjectNode orNull(ObjectNode node, String name, String text) {
    return text.isEmpty() ? node.putNull(name) : node.put(name, text);
  }

  private static void orNull(ObjectNode node, String name, OptionalLong number) {
    number.ifPresentOrElse(value -> node.put(name, value), () -> node.putNull(name));
  }

  /** Milliseconds with one decimal. */
  static BigDecimal millis(Duration duration) {
    return rounded(duration.toNanos() / 1e6);
  }

  private static BigDecimal rounded(double millis) {
    return BigDecimal.valueOf(millis).setScale(1, RoundingMode.HALF_UP);
  }

  private static String word(Pong.RuntimeState state) {
    return state.name().toLowerCase(Locale.ROOT);
  }

  // A guest wrote it: what is not an object is as good as nothing.
  private static ObjectNode report(String text) {
    try {
      return Json.parse(text) instanceof ObjectNode object ? object : Json.object();
    } catch (ForkdException e) {
      return Json.object().put("malformed", true);
    }
  }
}
