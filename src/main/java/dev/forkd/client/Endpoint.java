package dev.forkd.client;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Where a daemon listens. */
public sealed interface Endpoint {
  /** The TCP port of a URL that names none. */
  int DEFAULT_PORT = 8889;

  /** The longest path that the kernel takes for a unix socket, in bytes (unix(7)). */
  int MAX_SOCKET_PATH = 107;

  /** A fresh address to connect to; host names are looked up here. */
  SocketAddress address();

  /** What the Host header says. */
  String host();

  /** A unix socket. */
  record Unix(Path path) implements Endpoint {
    public Unix {
      int bytes = path.toString().getBytes(StandardCharsets.UTF_8).length;
      if (bytes > MAX_SOCKET_PATH) {
        throw new Failure(
                FailureKind.INVALID,
                "the socket path "
                    + path
                    + " is "
                    + bytes
                    + " bytes long and the kernel takes "
                    + MAX_SOCKET_PATH
                    + "; choose a shorter run directory")
            .thrown();
      }
    }

    @Override
    public SocketAddress address() {
      return UnixDomainSocketAddress.of(path);
    }

    @Override
    public String host() {
      return "localhost";
    }

    @Override
    public String toString() {
      return "unix:" + path;
    }
  }

  /** A TCP port; plain HTTP. */
  record Tcp(String name, int port) implements Endpoint {
    @Override
    public SocketAddress address() {
      return new InetSocketAddress(name.replaceAll("^\\[|]$", ""), port);
    }

    @Override
    public String host() {
      return name + ":" + port;
    }

    @Override
    public String toString() {
      return "http://" + host();
    }
  }

  /**
   * The endpoint that a URL names: {@code unix:/path/forkd.sock} or {@code http://host[:port]}.
   *
   * @throws dev.forkd.model.ForkdException INVALID for anything else
   */
  static Endpoint of(String url) {
    if (url.startsWith("unix:/")) {
      return new Unix(Path.of(url.substring("unix:".length()).replaceFirst("^/+", "/")));
    }
    try {
      URI uri = new URI(url);
      boolean bare = "".equals(uri.getPath()) || "/".equals(uri.getPath());
      if ("http".equals(uri.getScheme()) && uri.getHost() != null && bare) {
        return new Tcp(uri.getHost(), uri.getPort() < 0 ? DEFAULT_PORT : uri.getPort());
      }
    } catch (URISyntaxException e) {
      throw refused(url).thrown(e);
    }
    throw refused(url).thrown();
  }

  private static Failure refused(String url) {
    return new Failure(
        FailureKind.INVALID,
        "the URL \"" + url + "\" is neither unix:/path/to/forkd.sock nor http://host[:port]");
  }
}
