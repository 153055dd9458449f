package dev.forkd.api;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.service.Forkd;
import io.helidon.common.configurable.Resource;
import io.helidon.common.pki.Keys;
import io.helidon.common.tls.Tls;
import io.helidon.webserver.ListenerConfig;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.WebServerConfig;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.websocket.WsRouting;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The REST API on a unix socket and, when asked, on TCP. */
public final class ApiServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ApiServer.class);
  private static final String TCP = "tcp";
  private static final int MAX_CONNECTIONS = 4096;

  private final WebServer server;
  private final SocketFile socket;
  private final ApiConfig config;
  private final Access access;

  private ApiServer(WebServer server, SocketFile socket, ApiConfig config, Access access) {
    this.server = server;
    this.socket = socket;
    this.config = config;
    this.access = access;
  }

  /**
   * Starts serving; when this returns requests are answered.
   *
   * @throws dev.forkd.model.ForkdException INVALID for an unusable token or certificate, CONFLICT
   *     when the socket or the port is taken
   */
  public static ApiServer start(ApiConfig config, Forkd forkd) {
    Access access = Access.of(config);
    try {
      return start(config, access, forkd);
    } catch (RuntimeException e) {
      access.close();
      throw e;
    }
  }

  private static ApiServer start(ApiConfig config, Access access, Forkd forkd) {
    List<Route> routes = routes(forkd);
    Door open = door(Gate.open(), access, forkd);
    SocketFile socket = SocketFile.prepare(config.socket());
    WebServerConfig.Builder builder =
        WebServer.builder()
            .shutdownHook(false)
            .shutdownGracePeriod(config.drain())
            .maxConcurrentRequests(MAX_CONNECTIONS)
            .bindAddress(socket.address())
            .routing(routing(routes, open))
            .addRouting(sockets(forkd, open));
    if (config.tcp()) {
      builder.putSocket(TCP, tcp(config, forkd, routes, door(access.gate(), access, forkd)));
    }
    WebServer server = builder.build();
    try {
      server.start();
      socket.publish();
    } catch (RuntimeException e) {
      server.stop();
      socket.close();
      throw new Failure(
              FailureKind.CONFLICT,
              "the API cannot listen on " + config.socket() + " " + config.bind() + ": " + why(e))
          .thrown(e);
    }
    if (config.tls()) {
      access.watch(config.tlsFiles(), () -> server.reloadTls(TCP, tls(config)));
    }
    ApiServer started = new ApiServer(server, socket, config, access);
    LOG.info("event=api_listening socket={} port={}", config.socket(), started.port());
    return started;
  }

  /** The route table. */
  static List<Route> routes(Forkd forkd) {
    return Stream.of(
            Health.routes(forkd),
            new EventsResource(forkd).routes(),
            new SnapshotsResource(forkd).routes(),
            new SandboxesResource(forkd, new Replays()).routes(),
            new NetworkResource(forkd).routes(),
            new ProxyResource(forkd).routes(),
            new ProgramsResource(forkd).routes(),
            new FilesResource(forkd).routes(),
            new BranchesResource(forkd).routes(),
            new WorkspacesResource(forkd).routes())
        .flatMap(List::stream)
        .toList();
  }

  private static Door door(Gate gate, Access access, Forkd forkd) {
    return new Door(gate, access.audit(), forkd::holdsSecrets);
  }

  private static HttpRouting.Builder routing(List<Route> routes, Door door) {
    return HttpRouting.builder().any(new Router(routes, door));
  }

  private static WsRouting.Builder sockets(Forkd forkd, Door door) {
    return WsRouting.builder().endpoint(Door.TEMPLATE, () -> new ExecSocket(forkd, door));
  }

  private static ListenerConfig tcp(ApiConfig config, Forkd forkd, List<Route> routes, Door door) {
    ListenerConfig.Builder listener =
        ListenerConfig.builder()
            .address(config.address())
            .port(config.port())
            .maxConcurrentRequests(MAX_CONNECTIONS)
            .routing(routing(routes, door))
            .addRouting(sockets(forkd, door));
    if (config.tls()) {
      listener.tls(tls(config));
    }
    return listener.build();
  }

  private static Tls tls(ApiConfig config) {
    try {
      Keys keys =
          Keys.builder()
              .pem(pem ->
                  pem.key(Resource.create(Path.of(config.tlsKey())))
                      .certChain(Resource.create(Path.of(config.tlsCert()))))
              .build();
      return Tls.builder()
          .privateKey(keys)
          .privateKeyCertChain(keys)
          .enabledProtocols(List.of("TLSv1.3", "TLSv1.2"))
          .build();
    } catch (RuntimeException e) {
      throw new Failure(
              FailureKind.INVALID,
              "TLS certificate %s or key %s cannot be used: %s"
                  .formatted(config.tlsCert(), config.tlsKey(), why(e)))
          .thrown(e);
    }
  }

  private static String why(Throwable e) {
    Throwable root = e;
    for (int depth = 0; root.getCause() != null && depth < 10; depth++) {
      root = root.getCause();
    }
    return String.valueOf(root.getMessage());
  }

  /** The TCP port that is listened on; 0 without one. */
  public int port() {
    return config.tcp() ? server.port(TCP) : 0;
  }

  /** Takes no more requests, lets those under way end within the drain time, removes the socket. */
  @Override
  public void close() {
    server.stop();
    socket.close();
    access.close();
    LOG.info("event=api_closed");
  }
}
