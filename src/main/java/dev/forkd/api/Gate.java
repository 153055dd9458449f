package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import io.helidon.http.HeaderNames;
import io.helidon.http.Headers;
import java.util.regex.Pattern;

/** Who may ask at a listener. */
interface Gate {
  /**
   * Who sends a request with these headers.
   *
   * @throws ForkdException UNAUTHENTICATED or INVALID when it may not come in
   */
  Caller caller(Headers headers);

  /** Lets everybody in: the listener itself is private. */
  static Gate open() {
    Caller caller = Caller.trusted("unix");
    return headers -> caller;
  }

  /** Whoever has a token. */
  static Gate of(Tokens tokens) {
    return headers -> tokens.caller(headers.first(HeaderNames.AUTHORIZATION).orElse(""));
  }

  /**
   * Everybody on this host, but no web page: a page whose own name was made to resolve to the
   * loopback address (DNS rebinding) tells that name in the Host header.
   */
  static Gate loopback() {
    Pattern ours =
        Pattern.compile(
            "(localhost|127(\\.[0-9]{1,3}){3}|\\[::1])(:[0-9]+)?", Pattern.CASE_INSENSITIVE);
    Caller caller = Caller.trusted("loopback");
    return headers -> {
      String host = headers.first(HeaderNames.HOST).orElse("");
      if (!ours.matcher(host).matches()) {
        throw new ForkdException(
            FailureKind.INVALID,
            "without a token this address answers to localhost only, not to the host name of this"
                + " request: use http://127.0.0.1:PORT, or start the daemon with --token-file");
      }
      return caller;
    };
  }
}
