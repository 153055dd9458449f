package dev.forkd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class HostChecksTest {
  @ParameterizedTest
  @CsvSource({
    "4.19.0-27-amd64, FAIL",
    "5.10.0, FAIL",
    "5.18.19, FAIL",
    "5.19.0, WARN",
    "6.1.0-44-amd64, WARN",
    "6.6.1, PASS",
    "7.0.0-rc1, PASS",
    "Darwin, FAIL"
  })
  void aKernelIsJudgedByItsRelease(String release, Check.Verdict verdict) {
    Check check = HostChecks.kernel(release);
    assertThat(check.verdict()).isEqualTo(verdict);
    assertThat(check.text()).contains(release);
    if (verdict != Check.Verdict.PASS) {
      assertThat(check.remedy()).isNotEmpty();
    }
  }

  @Test
  void theLastWordsOfALauncherThatCannotWorkAreTold(@TempDir Path dir) throws IOException {
    Path launcher = dir.resolve("launcher");
    Files.writeString(launcher, "#!/bin/sh\necho 'no namespaces here' >&2\nexit 3\n");
    Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwx------"));
    assertThatThrownBy(() -> LauncherProbe.report(launcher))
        .isInstanceOf(IOException.class)
        .hasMessage("it ended with status 3 without an answer: no namespaces here");
  }
}
