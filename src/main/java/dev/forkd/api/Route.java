package dev.forkd.api;

import java.util.List;

/**
 * One line of the route table.
 *
 * @param method in capitals; every GET also answers HEAD
 * @param template path with parameters in braces, such as {@code /v1/sandboxes/{id}}; {@code
 *     {name...}} at its end takes all that is left
 * @param handler answers it
 */
record Route(String method, String template, Handler handler) {
  /** Answers a request. */
  interface Handler {
    Reply handle(Call call);
  }

  static Route get(String template, Handler handler) {
    return new Route("GET", template, handler);
  }

  static Route post(String template, Handler handler) {
    return new Route("POST", template, handler);
  }

  static Route put(String template, Handler handler) {
    return new Route("PUT", template, handler);
  }

  static Route delete(String template, Handler handler) {
    return new Route("DELETE", template, handler);
  }

  /** What a caller needs to use it. */
  Scope scope() {
    if (method.equals("GET") && !touchesASandbox()) {
      return Scope.READ;
    }
    // What a sandbox reaches, and who reaches it, is the operator's to say.
    boolean operators =
        template.startsWith("/v1/snapshots")
            || template.endsWith("/network")
            || template.contains("/ports");
    return operators ? Scope.ADMIN : Scope.USE;
  }

  private boolean touchesASandbox() {
    return List.of("/files", "/tree", "/exec", "/programs", "/proxy").stream()
        .anyMatch(template::contains);
  }

  /** The template's segments. */
  List<String> segments() {
    return Paths.segments(template);
  }
}
