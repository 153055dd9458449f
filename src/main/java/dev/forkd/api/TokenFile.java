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
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads a token file: one bare token, which may do everything, or a line for each of several,
 * {@code NAME SCOPE TOKEN [rate=N] [concurrent=N] [secrets]}, and comments that begin with {@code
 * #}.
 */
final class TokenFile {
  private static final int MIN_BYTES = 16;
  private static final int MAX_BYTES = 4096;
  private static final int MAX_FILE = 1 << 20;
  private static final Pattern LINE =
      Pattern.compile(
          "([A-Za-z0-9_-]{1,64})\\s+(\\S+)\\s+(\\S+)"
              + "((?:\\s+(?:(?:rate|concurrent)=[0-9]{1,7}|secrets))*)");
  private static final Pattern SECRETS = Pattern.compile("\\ssecrets\\b");
  private static final Pattern LIMIT = Pattern.compile("(rate|concurrent)=([0-9]+)");

  /**
   * One token. The token itself is not kept.
   *
   * @param digest SHA-256 of it
   */
  @SuppressWarnings("ArrayRecordComponent") // compared in constant time, never by equals
  record Entry(byte[] digest, Caller caller) {}

  private final Path file;
  private final List<Entry> entries = new ArrayList<>();
  private final Set<String> names = new HashSet<>();

  private TokenFile(Path file) {
    this.file = file;
  }

  /**
   * All of its tokens.
   *
   * @throws ForkdException INVALID when it cannot be read or holds anything that is no usable token
   */
  static List<Entry> read(Path file) {
    String text;
    try (InputStream in = Files.newInputStream(file)) {
      text = new String(in.readNBytes(MAX_FILE + 1), StandardCharsets.UTF_8).strip();
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "token file " + file + " cannot be read: " + e)
          .thrown(e);
    }
    TokenFile tokens = new TokenFile(file);
    tokens.parse(text);
    return List.copyOf(tokens.entries);
  }

  private void parse(String text) {
    if (text.isEmpty()) {
      throw unusable("it is empty");
    }
    if (text.length() > MAX_FILE) {
      throw unusable("it is larger than " + MAX_FILE + " bytes");
    }
    List<String> lines =
        text.lines().map(String::strip).filter(s -> !s.isEmpty() && !s.startsWith("#")).toList();
    if (lines.isEmpty()) {
      throw unusable("it holds nothing but comments");
    }
    if (lines.size() == 1 && !lines.getFirst().matches(".*\\s.*")) {
      add("default", Scope.ADMIN, lines.getFirst(), "");
    } else {
      lines.forEach(this::line);
    }
  }

  // A line is never quoted in a message: it holds a secret.
  private void line(String line) {
    Matcher match = LINE.matcher(line);
    if (!match.matches()) {
      throw unusable(
          "entry "
              + (entries.size() + 1)
              + " is not NAME SCOPE TOKEN [rate=N] [concurrent=N] [secrets]");
    }
    Optional<Scope> scope = Scope.of(match.group(2));
    if (scope.isEmpty()) {
      throw unusable("the scope of " + match.group(1) + " is not read, use or admin");
    }
    add(match.group(1), scope.get(), match.group(3), match.group(4));
  }

  private void add(String name, Scope scope, String token, String more) {
    if (token.startsWith("REPLACE_ME") || token.startsWith("CHANGE_ME")) {
      throw unusable("it still holds the placeholder");
    }
    int length = token.getBytes(StandardCharsets.UTF_8).length;
    if (length < MIN_BYTES || length > MAX_BYTES) {
      throw unusable("a token must have " + MIN_BYTES + ".." + MAX_BYTES + " bytes");
    }
    if (!names.add(name)) {
      throw unusable("the name " + name + " is there twice");
    }
    Throttle throttle = new Throttle(name, limit(more, "rate"), limit(more, "concurrent"));
    // An admin makes snapshots, and could make one without the mark.
    boolean secrets = scope == Scope.ADMIN || SECRETS.matcher(more).find();
    entries.add(new Entry(sha256(token), new Caller(name, scope, secrets, throttle)));
  }

  private static int limit(String limits, String which) {
    return LIMIT
        .matcher(limits)
        .results()
        .filter(match -> match.group(1).equals(which))
        .mapToInt(match -> Integer.parseInt(match.group(2)))
        .reduce(0, (first, last) -> last);
  }

  private ForkdException unusable(String why) {
    return new ForkdException(
        FailureKind.INVALID,
        "token file " + file + " is refused: " + why + "; make a token with: openssl rand -hex 32");
  }

  static byte[] sha256(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new Failure(FailureKind.INTERNAL, "no SHA-256 in this JDK").thrown(e);
    }
  }
}
