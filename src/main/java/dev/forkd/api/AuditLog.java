package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One line of JSON for each request, written before its connection takes the next one. It rotates
 * by size: {@code audit.log.1} is the newest of the old ones. Thread-safe.
 */
final class AuditLog implements Audit {
  /** Old files kept. */
  static final int KEPT = 5;

  private static final Logger LOG = LoggerFactory.getLogger(AuditLog.class);
  private static final int MAX_TEXT = 512;

  /**
   * A request that was answered.
   *
   * @param path without the query, which may hold what is nobody's business
   * @param who name of the token, or how the caller came
   */
  record Line(String method, String path, int status, long micros, String agent, String who) {}

  private final Path file;
  private final long maxBytes;
  // No channel: those are closed by an interrupt of whoever writes, and servers interrupt.
  private FileOutputStream out;
  private long size;
  private boolean failing;
  private boolean closed;

  /**
   * Opens the log, or makes it with mode 0600.
   *
   * @throws dev.forkd.model.ForkdException INVALID when it cannot be written
   */
  AuditLog(Path file, long maxBytes) {
    this.file = file;
    this.maxBytes = maxBytes;
    try {
      Path directory = file.toAbsolutePath().getParent();
      if (directory != null) {
        Files.createDirectories(directory);
      }
      this.out = open(file);
      this.size = Files.size(file);
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "audit log " + file + " cannot be written: " + e)
          .thrown(e);
    }
  }

  private static FileOutputStream open(Path file) throws IOException {
    FileChannel.open(
            file,
            Set.of(StandardOpenOption.WRITE, StandardOpenOption.CREATE),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))
        .close();
    return new FileOutputStream(file.toFile(), true);
  }

  /** Writes a line. A log that cannot be written is told once and does not stop the daemon. */
  @Override
  public synchronized void write(Line line) {
    if (closed) {
      return; // a stream that outlives the server's drain
    }
    byte[] bytes = text(line).getBytes(StandardCharsets.UTF_8);
    try {
      if (size >= maxBytes || !Files.exists(file)) {
        rotate();
      }
      out.write(bytes);
      size += bytes.length;
      failing = false;
    } catch (IOException e) {
      if (!failing) {
        LOG.error("event=audit_log_failed file={} reason=\"{}\"", file, String.valueOf(e));
      }
      failing = true;
    }
  }

  private void rotate() throws IOException {
    out.close();
    if (Files.exists(file)) {
      for (int n = KEPT - 1; n >= 1; n--) {
        if (Files.exists(old(n))) {
          Files.move(old(n), old(n + 1), StandardCopyOption.REPLACE_EXISTING);
        }
      }
      Files.move(file, old(1), StandardCopyOption.REPLACE_EXISTING);
    }
    out = open(file);
    size = 0;
  }

  private Path old(int n) {
    return file.resolveSibling(file.getFileName() + "." + n);
  }

  // Keys in alphabetical order and no spaces: line tools read it, too.
  private static String text(Line line) {
    return Json.text(
            Json.object()
                .put("latency_us", line.micros())
                .put("method", cut(line.method()))
                .put("path", cut(line.path()))
                .put("status", line.status())
                .put("ts", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString())
                .put("ua", cut(line.agent()))
                .put("who", line.who()))
        + "\n";
  }

  private static String cut(String text) {
    return text.length() <= MAX_TEXT ? text : text.substring(0, MAX_TEXT);
  }

  @Override
  public synchronized void close() {
    closed = true;
    try {
      out.close();
    } catch (IOException e) {
      LOG.error("event=audit_log_failed file={} reason=\"{}\"", file, String.valueOf(e));
    }
  }
}
