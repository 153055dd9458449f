package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.service.Forkd;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/** Whether the daemon serves, what it is, how it does. */
final class Health {
  private Health() {}

  static List<Route> routes(Forkd forkd) {
    String openApi = OpenApi.json();
    return List.of(
        Route.get("/healthz", call -> Reply.ok(Json.object().put("ok", true))),
        Route.get("/version", call -> Reply.ok(version(forkd))),
        Route.get(
            "/metrics",
            call -> new Reply.Text(200, "text/plain; version=0.0.4", forkd.metricsText())),
        Route.get("/v1/openapi.json", call -> new Reply.Text(200, "application/json", openApi)));
  }

  private static ObjectNode version(Forkd forkd) {
    return Json.object()
        .put("version", forkd.version())
        .put("api", "v1")
        .put("instance", forkd.instance());
  }
}
