package dev.forkd.api;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The bearer token of TCP clients. */
final class Token {
  private static final int MIN_BYTES = 16;
  private static final int MAX_BYTES = 4096;
  private static final String SCHEME = "Bearer ";

  private final byte[] digest;

  private Token(byte[] digest) {
    this.digest = digest;
  }

  /**
   * Reads the token, once: another one takes a restart.
   *
   * @throws ForkdException INVALID when the file cannot be read or holds no usable token
   */
  static Token read(Path file) {
    String text;
    try (InputStream in = Files.newInputStream(file)) {
      text = new String(in.readNBytes(MAX_BYTES + 1), StandardCharsets.UTF_8).strip();
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "token file " + file + " cannot be read: " + e)
          .thrown(e);
    }
    if (text.isEmpty()) {
      throw unusable(file, "it is empty");
    }
    if (text.startsWith("REPLACE_ME") || text.startsWith("CHANGE_ME")) {
      throw unusable(file, "it still holds the placeholder");
    }
    int length = text.getBytes(StandardCharsets.UTF_8).length;
    if (length < MIN_BYTES || length > MAX_BYTES) {
      throw unusable(file, "the token must have " + MIN_BYTES + ".." + MAX_BYTES + " bytes");
    }
    return new Token(sha256(text));
  }

  private static ForkdException unusable(Path file, String why) {
    return new ForkdException(
        FailureKind.INVALID,
        "token file " + file + " is refused: " + why + "; make one with: openssl rand -hex 32");
  }

  /**
   * Checks the Authorization header of a request.
   *
   * @param header its value, "" when there is none
   * @throws ForkdException UNAUTHENTICATED
   */
  void check(String header) {
    if (!header.startsWith(SCHEME) || header.substring(SCHEME.length()).isBlank()) {
      throw new ForkdException(FailureKind.UNAUTHENTICATED, "missing bearer token");
    }
    // Equal lengths make the comparison take equal time whatever was sent.
    if (!MessageDigest.isEqual(digest, sha256(header.substring(SCHEME.length()).strip()))) {
      throw new ForkdException(FailureKind.UNAUTHENTICATED, "invalid bearer token");
    }
  }

  private static byte[] sha256(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.INTERNAL, "no SHA-256 in this JDK").thrown(e);
    }
  }
}
