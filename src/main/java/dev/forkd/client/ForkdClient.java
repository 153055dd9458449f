package dev.forkd.client;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SnapshotFilter;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A client of one daemon. Thread-safe; connections are kept and reused.
 *
 * <p>Replies are the JSON bodies as the daemon sent them, so nothing that a newer daemon adds is
 * lost; docs/api.md has the fields. Every method throws {@link ForkdException}.
 *
 * {@snippet :
 * try (var client = new ForkdClient(Endpoint.of("unix:/run/forkd/forkd.sock"), "")) {
 *   JsonNode children = client.fork(Json.object().put("snapshot_tag", "ci").put("n", 4));
 * }
 * }
 */
public final class ForkdClient implements AutoCloseable {
  /** How long a request without a duration of its own may take. */
  public static final Duration TIMEOUT = Duration.ofSeconds(60);

  /** What a request may take beyond the time that it gives the program inside. */
  private static final Duration MARGIN = Duration.ofSeconds(15);

  /** Image builds and warm-ups have deadlines of their own in the daemon. */
  private static final Duration SNAPSHOT = Duration.ofHours(2);

  private static final byte[] NOTHING = {};
  private final Transport transport;

  /**
   * A client; connects with its first request.
   *
   * @param token bearer token; "" = none
   */
  public ForkdClient(Endpoint endpoint, String token) {
    this.transport = new Transport(endpoint, token);
  }

  private JsonNode get(String path) {
    return transport.json(new Transport.Route("GET", path), NOTHING, TIMEOUT);
  }

  private JsonNode post(String path, JsonNode body, Duration timeout) {
    return transport.json(new Transport.Route("POST", path), utf8(body), timeout);
  }

  private static byte[] utf8(JsonNode body) {
    return Json.text(body).getBytes(StandardCharsets.UTF_8);
  }

  /** Returns when the daemon says that it is well, or throws. */
  public void health(Duration timeout) {
    transport.bytes(new Transport.Route("GET", "/healthz"), NOTHING, timeout);
  }

  /** Version of daemon and API. */
  public JsonNode version() {
    return get("/version");
  }

  /** Metrics in the Prometheus text format. */
  public String metrics() {
    Transport.Route route = new Transport.Route("GET", "/metrics");
    return new String(transport.bytes(route, NOTHING, TIMEOUT), StandardCharsets.UTF_8);
  }

  /** All snapshots, ordered by tag. */
  public JsonNode snapshots() {
    return get("/v1/snapshots");
  }

  /** The snapshots that a filter shows. */
  public JsonNode snapshots(SnapshotFilter filter) {
    return get("/v1/snapshots" + Queries.of(filter));
  }

  /** One snapshot. */
  public JsonNode snapshot(Tag tag) {
    return get("/v1/snapshots/" + tag + "/info");
  }

  /** Whether there is a snapshot of that tag that can be forked. */
  public boolean isReady(Tag tag) {
    try {
      return snapshot(tag).path("status").asString("").equalsIgnoreCase("ready");
    } catch (ForkdException e) {
      if (e.kind() == FailureKind.NOT_FOUND) {
        return false;
      }
      throw e;
    }
  }

  /**
   * Warms a recipe and freezes it.
   *
   * @param body recipe, recipe_dir and optionally tag, engine, replace
   * @param progress receives the log and progress events while it works
   * @return the snapshot
   */
  public JsonNode createSnapshot(ObjectNode body, Consumer<JsonNode> progress) {
    Transport.Route route = new Transport.Route("POST", "/v1/snapshots");
    try (Transport.Exchange exchange =
        transport.send(route, Transport.NDJSON, utf8(body), SNAPSHOT)) {
      Lines lines = new Lines(exchange.body());
      while (true) {
        JsonNode event = lines.next();
        switch (event.path("event").asString("")) {
          case "snapshot" -> {
            lines.drain();
            return event.path("snapshot");
          }
          case "error" -> throw Failures.of(event, 500, "").thrown();
          default -> progress.accept(event);
        }
      }
    } catch (IOException e) {
      throw transport.failed(route, e);
    }
  }

  /** Removes a snapshot; {@code cascade} and {@code force} as docs/api.md says. */
  public void deleteSnapshot(Tag tag, boolean cascade, boolean force) {
    String query =
        cascade ? "?cascade=true" + (force ? "&force=true" : "") : force ? "?force=true" : "";
    transport.bytes(
        new Transport.Route("DELETE", "/v1/snapshots/" + tag + query), NOTHING, TIMEOUT);
  }

  /**
   * Forks sandboxes, all or none.
   *
   * @param body snapshot_tag and optionally n, memory_limit_mib
   * @return an array of sandboxes
   */
  public JsonNode fork(ObjectNode body) {
    return post("/v1/sandboxes", body, SNAPSHOT); // a cold snapshot is warmed first
  }

  /**
   * Makes a snapshot of a running sandbox.
   *
   * @param body as POST …/branch takes it
   * @return the snapshot; one that is still being written when the body says not to wait
   */
  public JsonNode branch(SandboxId id, ObjectNode body) {
    return post("/v1/sandboxes/" + id + "/branch", body, SNAPSHOT);
  }

  /** Makes a snapshot that holds the same as {@code from} and needs no other one. */
  public JsonNode compact(Tag from, Tag to) {
    ObjectNode body = Json.object().put("to", to.text());
    return post("/v1/snapshots/" + from + "/compact", body, SNAPSHOT);
  }

  /** All workspaces, ordered by name. */
  public JsonNode workspaces() {
    return get("/v1/workspaces");
  }

  /** Forks a sandbox with a name: {@code body} as POST /v1/workspaces takes it. */
  public JsonNode createWorkspace(ObjectNode body) {
    return post("/v1/workspaces", body, SNAPSHOT);
  }

  /** Saves a workspace and ends its sandbox. */
  public JsonNode suspendWorkspace(Tag name, boolean diff) {
    ObjectNode body = Json.object().put("diff", diff);
    return post("/v1/workspaces/" + name + "/suspend", body, SNAPSHOT);
  }

  /** Forks a workspace's sandbox again; {@code fresh}: from its source, not from its state. */
  public JsonNode resumeWorkspace(Tag name, boolean fresh) {
    ObjectNode body = Json.object().put("fresh", fresh);
    return post("/v1/workspaces/" + name + "/resume", body, SNAPSHOT);
  }

  /** Ends a workspace with its sandbox and its state. */
  public void deleteWorkspace(Tag name) {
    transport.bytes(new Transport.Route("DELETE", "/v1/workspaces/" + name), NOTHING, TIMEOUT);
  }

  /** The sandboxes that run, ordered by id. */
  public JsonNode sandboxes() {
    return get("/v1/sandboxes");
  }

  /** The sandboxes that run and those that have ended by themselves, ordered by id. */
  public JsonNode allSandboxes() {
    return get("/v1/sandboxes?all=true");
  }

  /**
   * The sandboxes that a filter shows, ordered by id.
   *
   * @param filter by labels, name, snapshot; and which page
   */
  public JsonNode sandboxes(SandboxFilter filter) {
    return get("/v1/sandboxes" + Queries.of(filter));
  }

  /** One sandbox. */
  public JsonNode sandbox(SandboxId id) {
    return get("/v1/sandboxes/" + id);
  }

  /** Ends a sandbox. */
  public void destroy(SandboxId id) {
    transport.bytes(new Transport.Route("DELETE", "/v1/sandboxes/" + id), NOTHING, TIMEOUT);
  }

  /** The files of a sandbox. */
  public RemoteFiles files(SandboxId id) {
    return new RemoteFiles(transport, id);
  }

  /**
   * Waits until a sandbox answers, or until it has ended.
   *
   * @param ended what to wait for
   * @param timeout after which this fails with TIMEOUT
   */
  public JsonNode await(SandboxId id, boolean ended, Duration timeout) {
    ObjectNode body =
        Json.object().put("state", ended ? "ended" : "ready").put("timeout_secs", seconds(timeout));
    return post("/v1/sandboxes/" + id + "/wait", body, timeout.plus(MARGIN));
  }

  /** What happened last, newest first; 1 to 1000. */
  public JsonNode events(int limit) {
    return get("/v1/events?limit=" + limit);
  }

  /** The last events of one sandbox, newest first. */
  public JsonNode events(int limit, SandboxId id) {
    return get("/v1/events?limit=" + limit + "&subject=" + id);
  }

  /**
   * Every change of state as it happens.
   *
   * @param after number of the last event that is known; -1: from now on
   */
  public EventStream followEvents(long after) {
    String path = "/v1/events" + (after < 0 ? "" : "?after=" + after);
    Transport.Route route = new Transport.Route("GET", path);
    return new EventStream(transport.send(route, "text/event-stream", NOTHING, TIMEOUT));
  }

  /**
   * Lets a sandbox's times start again.
   *
   * @param body optionally ttl_secs and idle_timeout_secs
   */
  public JsonNode renew(SandboxId id, ObjectNode body) {
    return post("/v1/sandboxes/" + id + "/renew", body, TIMEOUT);
  }

  /** How a sandbox is connected, what it was refused, and its published ports. */
  public JsonNode network(SandboxId id) {
    return get("/v1/sandboxes/" + id + "/network");
  }

  /**
   * Changes what a sandbox may reach, while it runs.
   *
   * @param body as PUT …/network takes it
   */
  public JsonNode network(SandboxId id, ObjectNode body) {
    Transport.Route route = new Transport.Route("PUT", "/v1/sandboxes/" + id + "/network");
    return transport.json(route, utf8(body), TIMEOUT);
  }

  /**
   * Makes a port of a sandbox reachable on the daemon's host.
   *
   * @param body as POST …/ports takes it
   */
  public JsonNode publish(SandboxId id, ObjectNode body) {
    return post("/v1/sandboxes/" + id + "/ports", body, TIMEOUT);
  }

  /** The published ports of a sandbox. */
  public JsonNode ports(SandboxId id) {
    return get("/v1/sandboxes/" + id + "/ports");
  }

  /** Takes a published port back. */
  public void unpublish(SandboxId id, int port) {
    String path = "/v1/sandboxes/" + id + "/ports/" + port;
    transport.bytes(new Transport.Route("DELETE", path), NOTHING, TIMEOUT);
  }

  /** Asks agent and runtime to answer. */
  public JsonNode ping(SandboxId id) {
    Transport.Route route = new Transport.Route("POST", "/v1/sandboxes/" + id + "/ping");
    return transport.json(route, NOTHING, TIMEOUT);
  }

  /** Runs code in the eval session; {@code timeout} is the code's. */
  public JsonNode eval(SandboxId id, String code, Duration timeout) {
    ObjectNode body = Json.object().put("code", code).put("timeout_secs", seconds(timeout));
    return post("/v1/sandboxes/" + id + "/eval", body, timeout.plus(MARGIN));
  }

  /** Runs a command to its end: {@code body} as POST …/exec takes it. */
  public JsonNode exec(SandboxId id, ObjectNode body, Duration timeout) {
    body.put("timeout_secs", seconds(timeout));
    return post("/v1/sandboxes/" + id + "/exec", body, timeout.plus(MARGIN));
  }

  /** Runs code in a fork of the warm runtime to its end: {@code body} as POST …/call takes it. */
  public JsonNode call(SandboxId id, ObjectNode body, Duration timeout) {
    body.put("timeout_secs", seconds(timeout));
    return post("/v1/sandboxes/" + id + "/call", body, timeout.plus(MARGIN));
  }

  /**
   * Starts a program and streams it.
   *
   * @param verb "exec" or "call"
   * @param body as that route takes it
   */
  public ProgramStream start(SandboxId id, String verb, ObjectNode body, Duration timeout) {
    checkVerb(verb);
    body.put("timeout_secs", seconds(timeout)).put("stream", true);
    Transport.Route route = new Transport.Route("POST", "/v1/sandboxes/" + id + "/" + verb);
    Transport.Exchange exchange =
        transport.send(route, Transport.NDJSON, utf8(body), timeout.plus(MARGIN));
    return new ProgramStream(transport, exchange, id, timeout.plus(MARGIN));
  }

  /**
   * Starts a program that goes on when this client has gone.
   *
   * @param verb "exec" or "call"
   * @param body as that route takes it
   * @return the program, its name in {@code program}
   */
  public JsonNode detach(SandboxId id, String verb, ObjectNode body, Duration timeout) {
    checkVerb(verb);
    body.put("timeout_secs", seconds(timeout)).put("detach", true);
    return post("/v1/sandboxes/" + id + "/" + verb, body, MARGIN);
  }

  /** The detached programs of a sandbox. */
  public JsonNode programs(SandboxId id) {
    return get("/v1/sandboxes/" + id + "/programs");
  }

  /** The output of a detached program from a position on, as it comes; closing it ends nothing. */
  public ProgramStream attach(SandboxId id, String program, long offset, Duration patience) {
    String query = "/output?follow=true&offset=" + offset;
    Transport.Route route = new Transport.Route("GET", path(id, program) + query);
    Transport.Exchange exchange = transport.send(route, Transport.NDJSON, NOTHING, patience);
    return new ProgramStream(transport, exchange, id, patience);
  }

  /** Ends a detached program and forgets its output. */
  public void endProgram(SandboxId id, String program) {
    transport.bytes(new Transport.Route("DELETE", path(id, program)), NOTHING, TIMEOUT);
  }

  private static String path(SandboxId id, String program) {
    if (!program.matches("[A-Za-z0-9-]{1,40}")) {
      throw new ForkdException(
          FailureKind.INVALID, program + " is no program's name; `forkd programs` has them");
    }
    return "/v1/sandboxes/" + id + "/programs/" + program;
  }

  private static void checkVerb(String verb) {
    if (!verb.equals("exec") && !verb.equals("call")) {
      throw new ForkdException(FailureKind.INVALID, "a program is started by exec or call");
    }
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1000.0;
  }

  @Override
  public void close() {
    transport.close();
  }
}
