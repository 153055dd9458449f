package dev.forkd.api;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The bearer tokens of TCP clients. A changed file counts from the next look at it on; one that has
 * become unusable does not: the tokens from before stay, and the log says why. Thread-safe.
 */
final class Tokens {
  private static final Logger LOG = LoggerFactory.getLogger(Tokens.class);
  private static final String SCHEME = "Bearer ";

  private final Path file;
  private volatile List<TokenFile.Entry> entries;

  private Tokens(Path file, List<TokenFile.Entry> entries) {
    this.file = file;
    this.entries = entries;
  }

  /**
   * Reads the file.
   *
   * @throws ForkdException INVALID when it holds anything but usable tokens
   */
  static Tokens read(Path file) {
    return new Tokens(file, TokenFile.read(file));
  }

  /** Reads the file again. */
  void reload() {
    try {
      entries = TokenFile.read(file);
      LOG.info("event=tokens_reloaded file={} n={}", file, entries.size());
    } catch (ForkdException e) {
      LOG.error("event=tokens_kept reason=\"{}\"", e.getMessage());
    }
  }

  /**
   * Who sends a request with this Authorization header.
   *
   * @param header its value, "" when there is none
   * @throws ForkdException UNAUTHENTICATED
   */
  Caller caller(String header) {
    if (!header.startsWith(SCHEME) || header.substring(SCHEME.length()).isBlank()) {
      throw new ForkdException(FailureKind.UNAUTHENTICATED, "missing bearer token");
    }
    byte[] sent = TokenFile.sha256(header.substring(SCHEME.length()).strip());
    // Digests of equal length, and all of them: the time tells neither how much of a token was
    // right nor which one.
    Optional<Caller> found = Optional.empty();
    for (TokenFile.Entry entry : entries) {
      if (MessageDigest.isEqual(entry.digest(), sent)) {
        found = Optional.of(entry.caller());
      }
    }
    return found.orElseThrow(
        () -> new ForkdException(FailureKind.UNAUTHENTICATED, "invalid bearer token"));
  }
}
