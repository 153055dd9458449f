package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class AuditLogTest {
  @TempDir Path dir;

  @Test
  void anInterruptLosesNoLineAndRotatesNothing() throws IOException {
    Path file = dir.resolve("audit.log");
    try (AuditLog log = new AuditLog(file, 1 << 20)) {
      log.write(new AuditLog.Line("GET", "/one", 200, 1, "", "unix"));
      Thread.currentThread().interrupt();
      log.write(new AuditLog.Line("GET", "/two", 200, 1, "", "unix"));
      assertThat(Thread.interrupted()).isTrue();
      log.write(new AuditLog.Line("GET", "/three", 200, 1, "", "unix"));
    }
    assertThat(Files.readAllLines(file))
        .satisfiesExactly(
            line -> assertThat(line).contains("/one"),
            line -> assertThat(line).contains("/two"),
            line -> assertThat(line).contains("/three"));
    try (Stream<Path> files = Files.list(dir)) {
      assertThat(files).containsExactly(file);
    }
  }
}
