package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** Archives as the kernel reads them. */
class CpioTest {
  @Test
  void entriesAreAlignedAndDirectoriesComeFirst() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (Cpio cpio = new Cpio(out)) {
      cpio.file("a/b", 0755, "hello".getBytes(UTF_8));
      cpio.file("a/c", 0644, new byte[0]);
    }
    String text = out.toString(UTF_8);
    assertThat(out.size() % 4).isZero();
    assertThat(text).startsWith("070701" + "00000001" + "000041ED");
    assertThat(text.indexOf("a\0")).isLessThan(text.indexOf("a/b\0"));
    assertThat(text.split("070701", -1)).hasSize(5);
    assertThat(text.indexOf("hello") % 4).isZero();
    assertThat(text).contains("TRAILER!!!\0").contains("000081ED").contains("000081A4");
  }
}
