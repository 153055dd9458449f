package dev.forkd.image;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.regex.Pattern;

/**
 * SHA-256 over a sequence of parts, each with its length before it, so that no two run together.
 */
final class ContentDigest {
  private static final Pattern FORM = Pattern.compile("[0-9a-f]{64}");
  private static final int BUFFER = 1 << 16;

  private final MessageDigest digest;

  /** A digest of things of that sort; another sort never gives the same digest. */
  ContentDigest(String sort) {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new Failure(FailureKind.INTERNAL, "this JDK has no SHA-256").thrown(impossible);
    }
    add(sort);
  }

  /** Whether {@code text} has the form of a digest, so that it may become part of a path. */
  static boolean isDigest(String text) {
    return FORM.matcher(text).matches();
  }

  ContentDigest add(String part) {
    byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
    add(bytes.length);
    digest.update(bytes);
    return this;
  }

  ContentDigest add(Iterable<String> parts) {
    int count = 0;
    for (String part : parts) {
      add(part);
      count++;
    }
    return add(count);
  }

  ContentDigest add(long number) {
    digest.update(ByteBuffer.allocate(Long.BYTES).putLong(number).flip());
    return this;
  }

  /** The content of a regular file. */
  ContentDigest addFile(Path file) throws IOException {
    byte[] buffer = new byte[BUFFER];
    long length = 0;
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
        length += n;
      }
    }
    return add(length);
  }

  /** 64 hex digits. The digest cannot be used afterwards. */
  String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
