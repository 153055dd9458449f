package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import io.helidon.http.DirectHandler;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.Headers;
import io.helidon.http.HttpPrologue;
import io.helidon.http.RequestException;
import io.helidon.http.Status;
import java.util.List;
import java.util.function.Predicate;

/**
 * What every request meets at a listener: who asks, whether they may, and the audit log. One that
 * becomes a WebSocket meets it here, in the place of {@link Router}.
 *
 * @param gate who may ask at this listener
 * @param audit where it is written down
 * @param holdsSecrets whether a sandbox has memory that not everybody may see
 */
record Door(Gate gate, Audit audit, Predicate<SandboxId> holdsSecrets) {
  /** The only WebSocket that there is. */
  static final String TEMPLATE = "/v1/sandboxes/{id}/exec/socket";

  private static final List<String> SEGMENTS = Paths.segments(TEMPLATE);

  /** Lets somebody in, or answers with a failure as every route does. */
  Visit open(HttpPrologue prologue, Headers headers) {
    String path = prologue.uriPath().rawPath();
    try {
      Caller caller = gate.caller(headers);
      Router.permit(caller, Scope.USE);
      String id = Paths.match(SEGMENTS, Paths.segments(path)).orElseThrow().get("id");
      SandboxId sandbox = new SandboxId(String.valueOf(id));
      permit(caller, sandbox);
      String agent = headers.first(HeaderNames.USER_AGENT).orElse("");
      return new Visit(audit, caller, sandbox, path, agent);
    } catch (ForkdException e) {
      throw refused(e);
    }
  }

  /**
   * Lets somebody do something with a sandbox.
   *
   * @throws ForkdException FORBIDDEN when it was forked from a snapshot that holds secrets
   */
  void permit(Caller caller, SandboxId sandbox) {
    if (!caller.secrets() && holdsSecrets.test(sandbox)) {
      throw new ForkdException(
          FailureKind.FORBIDDEN,
          ("sandbox %s was forked from a snapshot that holds secrets: token %s needs `secrets` in"
                  + " its line of the token file")
              .formatted(sandbox, caller.name()));
    }
  }

  private static RequestException refused(ForkdException e) {
    return RequestException.builder()
        .type(DirectHandler.EventType.OTHER)
        .status(Status.create(e.kind().httpStatus()))
        .header(HeaderValues.create(HeaderNames.CONTENT_TYPE, "application/json"))
        .message(Json.text(Shapes.failure(e.failure())))
        .safeMessage(true)
        .build();
  }

  /** Somebody who was let in, until they leave. Used by one thread. */
  static final class Visit implements AutoCloseable {
    private final Audit audit;
    private final Caller caller;
    private final SandboxId sandbox;
    private final String path;
    private final String agent;
    private final long began = System.nanoTime();
    private boolean entered;

    Visit(Audit audit, Caller caller, SandboxId sandbox, String path, String agent) {
      this.audit = audit;
      this.caller = caller;
      this.sandbox = sandbox;
      this.path = path;
      this.agent = agent;
    }

    SandboxId sandbox() {
      return sandbox;
    }

    /** Whatever fails of it is answered in the place of the upgrade. */
    void check(Runnable checking) {
      try {
        checking.run();
      } catch (ForkdException e) {
        throw refused(e);
      }
    }

    /**
     * It counts as a request that runs.
     *
     * @throws ForkdException LIMITED
     */
    void enter() {
      caller.throttle().enter();
      entered = true;
    }

    @Override
    public void close() {
      if (entered) {
        caller.throttle().leave();
      }
      long micros = (System.nanoTime() - began) / 1_000;
      audit.write(new AuditLog.Line("GET", path, 101, micros, agent, caller.name()));
    }
  }
}
