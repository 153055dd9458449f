package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * Where the API listens and who may use it. Empty text stands for absence.
 *
 * @param socket unix socket, made with mode 0600; whoever can open it needs no token
 * @param bind {@code HOST:PORT} or {@code [V6]:PORT} for TCP; "" or "none" = unix socket only
 * @param tokenFile file with the bearer token of TCP clients
 * @param tlsCert PEM certificate chain; TCP is HTTPS then
 * @param tlsKey PEM private key
 * @param auditLog file with a line for each request; "" or "none" = there is none
 * @param drain how long requests under way may take when the server stops
 */
public record ApiConfig(
    Path socket,
    String bind,
    String tokenFile,
    String tlsCert,
    String tlsKey,
    String auditLog,
    Duration drain) {
  /** Where TCP clients of forkd look first. */
  public static final String DEFAULT_BIND = "127.0.0.1:8889";

  private static final int MAX_PORT = 65_535;

  public ApiConfig {
    if (tlsCert.isEmpty() != tlsKey.isEmpty()) {
      throw new ForkdException(
          FailureKind.INVALID, "TLS needs both a certificate and a key: give both or neither");
    }
    auditLog = auditLog.equals("none") ? "" : auditLog;
    bind = bind.equals("none") ? "" : bind;
    if (!bind.isEmpty()) {
      int port = port(bind);
      InetAddress address = address(bind);
      if (tokenFile.isEmpty() && !address.isLoopbackAddress()) {
        throw new ForkdException(
            FailureKind.INVALID,
            ("refusing to listen on %s port %d without a token: others could run code as root"
                    + " here; give --token-file, or bind to 127.0.0.1")
                .formatted(address.getHostAddress(), port));
      }
    }
  }

  /** Whether there is a TCP listener. */
  boolean tcp() {
    return !bind.isEmpty();
  }

  /** Whether TCP is HTTPS. */
  boolean tls() {
    return tcp() && !tlsCert.isEmpty();
  }

  /** The files that TLS is made of. */
  List<Path> tlsFiles() {
    return List.of(Path.of(tlsCert), Path.of(tlsKey));
  }

  /** The address to listen on. */
  InetAddress address() {
    return address(bind);
  }

  /** The port to listen on; 0 = any free one. */
  int port() {
    return port(bind);
  }

  private static InetAddress address(String bind) {
    String host = bind.substring(0, bind.lastIndexOf(':'));
    String bare =
        host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
    try {
      if (!bare.isEmpty()) {
        return InetAddress.getByName(bare);
      }
    } catch (UnknownHostException e) {
      throw invalid(bind, "host " + bare + " is not known");
    }
    throw invalid(bind, "the host is missing");
  }

  private static int port(String bind) {
    int colon = bind.lastIndexOf(':');
    if (colon < 0) {
      throw invalid(bind, "the port is missing");
    }
    try {
      int port = Integer.parseInt(bind.substring(colon + 1));
      if (port >= 0 && port <= MAX_PORT) {
        return port;
      }
      throw invalid(bind, "port " + port + " is not 0.." + MAX_PORT);
    } catch (NumberFormatException e) {
      throw invalid(bind, "the port is not a number");
    }
  }

  private static ForkdException invalid(String bind, String why) {
    return new ForkdException(
        FailureKind.INVALID,
        "cannot listen on \"" + bind + "\": " + why + "; write HOST:PORT, or none");
  }
}
