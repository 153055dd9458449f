package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import io.helidon.http.HeaderNames;
import io.helidon.http.Status;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
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
  private final Gate gate;

  Router(List<Route> routes, Gate gate) {
    this.routes = List.copyOf(routes);
    this.gate = gate;
  }

  private record Match(Route route, Map<String, String> parameters) {}

  @Override
  public void handle(ServerRequest request, ServerResponse response) {
    Reply reply;
    try {
      String path = request.path().rawPath();
      authenticate(path, request);
      reply = answer(path, request, response);
    } catch (ForkdException e) {
      reply = failed(e);
    } catch (RuntimeException e) {
      reply = failed(defect(e));
    }
    send(reply, response);
  }

  private void authenticate(String path, ServerRequest request) {
    if (!path.equals("/healthz") && !path.equals("/healthz/")) {
      gate.check(request.headers());
    }
  }

  private Reply answer(String path, ServerRequest request, ServerResponse response) {
    String method = request.prologue().method().text();
    String wanted = method.equals("HEAD") ? "GET" : method;
    List<Match> matches = matches(path);
    for (Match match : matches) {
      if (match.route().method().equals(wanted)) {
        return match.route().handler().handle(new Call(request, match.parameters()));
      }
    }
    if (matches.isEmpty()) {
      return new Reply.Empty(404);
    }
    response.header(HeaderNames.ALLOW, allowed(matches));
    return new Reply.Empty(405);
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
    return new Reply.Document(failure.kind().httpStatus(), Shapes.failure(failure));
  }

  /** What a client is told of a defect; the log has the rest. */
  static ForkdException defect(RuntimeException e) {
    return new Failure(
            FailureKind.INTERNAL,
            "forkd has a defect (" + e.getClass().getSimpleName() + "): its log tells more")
        .thrown(e);
  }

  private static void send(Reply reply, ServerResponse response) {
    switch (reply) {
      case Reply.Document(var status, var body) ->
          send(response, status, "application/json", Json.text(body));
      case Reply.Text(var status, var type, var body) -> send(response, status, type, body);
      case Reply.Empty(var status) -> response.status(Status.create(status)).send();
      case Reply.Events(var source) -> ResponseEvents.run(source, response);
    }
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
}
