package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import io.helidon.http.HeaderNames;
import io.helidon.http.Status;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds the route of a request, checks who asks, and turns answers and failures into replies. */
final class Router implements Handler {
  private static final Logger LOG = LoggerFactory.getLogger(Router.class);

  private final List<Route> routes;
  private static final Caller NOBODY = new Caller("", Scope.READ, false, Throttle.NONE);

  private final Door door;

  Router(List<Route> routes, Door door) {
    this.routes = List.copyOf(routes);
    this.door = door;
  }

  private record Match(Route route, Map<String, String> parameters) {}

  @Override
  public void handle(ServerRequest request, ServerResponse response) {
    long began = System.nanoTime();
    Caller caller = NOBODY;
    try {
      caller = authenticate(request);
      caller.throttle().enter();
      try {
        reply(answer(caller, request, response), request, response);
      } finally {
        caller.throttle().leave();
      }
    } catch (ForkdException e) {
      reply(failed(e), request, response);
    } finally {
      written(began, caller, request, response);
    }
  }

  private void written(long began, Caller caller, ServerRequest request, ServerResponse response) {
    door.audit()
        .write(
            new AuditLog.Line(
                request.prologue().method().text(),
                request.path().rawPath(),
                response.status().code(),
                (System.nanoTime() - began) / 1_000,
                request.headers().first(HeaderNames.USER_AGENT).orElse(""),
                caller.name()));
  }

  private Caller authenticate(ServerRequest request) {
    String path = request.path().rawPath();
    return path.equals("/healthz") || path.equals("/healthz/")
        ? NOBODY
        : door.gate().caller(request.headers());
  }

  private Reply answer(Caller caller, ServerRequest request, ServerResponse response) {
    try {
      return routed(caller, request, response);
    } catch (ForkdException e) {
      return failed(e);
    } catch (UncheckedIOException e) {
      // Nobody may be left to hear it; the audit log tells it as what it is.
      return failed(new Failure(FailureKind.INVALID, "the body broke off: " + e).thrown(e));
    } catch (RuntimeException e) {
      return failed(defect(e));
    }
  }

  private Reply routed(Caller caller, ServerRequest request, ServerResponse response) {
    String path = request.path().rawPath();
    String method = request.prologue().method().text();
    String wanted = method.equals("HEAD") ? "GET" : method;
    List<Match> matches = matches(path);
    for (Match match : matches) {
      if (match.route().method().equals(wanted)) {
        permit(caller, match);
        return match.route().handler().handle(new Call(request, caller, match.parameters()));
      }
    }
    if (matches.isEmpty()) {
      return new Reply.Empty(404);
    }
    response.header(HeaderNames.ALLOW, allowed(matches));
    return new Reply.Empty(405);
  }

  private void permit(Caller caller, Match match) {
    Scope scope = match.route().scope();
    permit(caller, scope);
    String sandbox = match.parameters().get("id");
    if (sandbox != null && scope != Scope.READ) {
      door.permit(caller, new SandboxId(sandbox));
    }
  }

  /**
   * Lets somebody use what takes that scope.
   *
   * @throws ForkdException FORBIDDEN
   */
  static void permit(Caller caller, Scope scope) {
    if (!caller.scope().includes(scope)) {
      throw new ForkdException(
          FailureKind.FORBIDDEN,
          "token %s has the scope %s; this takes one with %s"
              .formatted(caller.name(), caller.scope().word(), scope.word()));
    }
  }

  private List<Match> matches(String path) {
    List<String> segments = Paths.segments(path);
    List<Match> matches = new ArrayList<>();
    for (Route route : routes) {
      Paths.match(route.segments(), segments)
          .ifPresent(parameters -> matches.add(new Match(route, parameters)));
    }
    return matches;
  }

  private static String allowed(List<Match> matches) {
    TreeSet<String> methods = new TreeSet<>();
    for (Match match : matches) {
      methods.add(match.route().method());
      if (match.route().method().equals("GET")) {
        methods.add("HEAD");
      }
    }
    return String.join(", ", methods);
  }

  private static Reply failed(ForkdException e) {
    Failure failure = e.failure();
    if (failure.kind() == FailureKind.INTERNAL) {
      LOG.error("event=request_defect", e);
    }
    return new Reply.Failed(failure);
  }

  /** What a client is told of a defect; the log has the rest. */
  static ForkdException defect(RuntimeException e) {
    return new Failure(
            FailureKind.INTERNAL,
            "forkd has a defect (" + e.getClass().getSimpleName() + "): its log tells more")
        .thrown(e);
  }

  private static void reply(Reply reply, ServerRequest request, ServerResponse response) {
    if (request.prologue().method().text().equals("HEAD")) {
      sendHead(reply, response);
    } else {
      send(reply, response);
    }
  }

  // The server would send a failure's body even so, and the next reply would begin within it.
  private static void sendHead(Reply reply, ServerResponse response) {
    switch (reply) {
      case Reply.Document(var status, var _) -> head(response, status, "application/json");
      case Reply.Failed(var failure) ->
          head(response, failure.kind().httpStatus(), "application/json");
      case Reply.Text(var status, var type, var _) -> head(response, status, type);
      case Reply.Empty(var status) -> response.status(Status.create(status)).send();
      case Reply.Events _ -> head(response, 200, "application/x-ndjson");
      case Reply.Content(var type, var _) -> head(response, 200, type);
      case Reply.Passed passed -> sendPassed(passed, response);
    }
  }

  private static void head(ServerResponse response, int status, String type) {
    response.status(Status.create(status)).header(HeaderNames.CONTENT_TYPE, type).send();
  }

  private static void send(Reply reply, ServerResponse response) {
    switch (reply) {
      case Reply.Document(var status, var body) ->
          send(response, status, "application/json", Json.text(body));
      case Reply.Failed(var failure) -> sendFailure(failure, response);
      case Reply.Text(var status, var type, var body) -> send(response, status, type, body);
      case Reply.Empty(var status) -> response.status(Status.create(status)).send();
      case Reply.Events(var source) -> ResponseEvents.run(source, response);
      case Reply.Content content -> ResponseContent.run(content.type(), content.writer(), response);
      case Reply.Passed passed -> sendPassed(passed, response);
    }
  }

  private static void sendPassed(Reply.Passed passed, ServerResponse response) {
    response.status(Status.create(passed.status()));
    passed
        .headers()
        .forEach(header ->
            response.headers().add(HeaderNames.create(header.getKey()), header.getValue()));
    passed
        .writer()
        .ifPresentOrElse(
            writer -> ResponseContent.run("", writer, response), () -> response.send());
  }

  private static void send(ServerResponse response, int status, String type, String body) {
    response
        .status(Status.create(status))
        .header(HeaderNames.CONTENT_TYPE, type)
        .send(body.getBytes(StandardCharsets.UTF_8));
  }

  /** Sends a failure that happened before the first event of a stream. */
  static void sendFailure(ForkdException e, ServerResponse response) {
    send(failed(e), response);
  }

  private static void sendFailure(Failure failure, ServerResponse response) {
    int status = failure.kind().httpStatus();
    if (status == 429 || status == 503) {
      response.header(HeaderNames.RETRY_AFTER, "1");
    }
    send(response, status, "application/json", Json.text(Shapes.failure(failure)));
  }
}
