package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.FailureKind;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Files in and out. */
public interface FileContract extends Contract {
  @Test
  default void aFileComesBackAsItWent() {
    Guest guest = bench().fork();
    byte[] content = new byte[5_000_000];
    new Random(2).nextBytes(content);
    guest.writeFile("/new/deep/file", 0750, new ByteArrayInputStream(content), Bench.SOON);
    ByteArrayOutputStream back = new ByteArrayOutputStream();
    assertThat(guest.readFile("/new/deep/file", content.length, back, Bench.SOON))
        .isEqualTo(content.length);
    assertThat(back.toByteArray()).isEqualTo(content);
    assertThat(Bench.sh(guest, "stat -c %a:%u /new/deep/file").stdout()).isEqualTo("750:0\n");
  }

  @Test
  default void readingStopsAtItsLimit() {
    Guest guest = bench().fork();
    ByteArrayOutputStream back = new ByteArrayOutputStream();
    Bench.sh(guest, "head -c 1000000 /dev/zero > /tmp/big");
    assertThat(guest.readFile("/tmp/big", 1_000, back, Bench.SOON)).isEqualTo(1_000);
    assertThat(back.size()).isEqualTo(1_000);
  }

  @Test
  default void onlyRegularFilesAreRead() {
    Guest guest = bench().fork();
    Bench.sh(guest, "mkfifo /tmp/fifo");
    assertThat(kindOfRead(guest, "/tmp/none")).isEqualTo(FailureKind.NOT_FOUND);
    assertThat(kindOfRead(guest, "/tmp/fifo")).isEqualTo(FailureKind.INVALID);
    assertThat(kindOfRead(guest, "/dev/zero")).isEqualTo(FailureKind.INVALID);
    assertThat(kindOfRead(guest, "/tmp")).isEqualTo(FailureKind.INVALID);
    assertThat(kindOfRead(guest, "relative")).isEqualTo(FailureKind.INVALID);
  }

  private static FailureKind kindOfRead(Guest guest, String path) {
    return Contract.failureOf(
            () -> guest.readFile(path, 10, new ByteArrayOutputStream(), Bench.SOON))
        .kind();
  }

  @Test
  default void aBrokenUploadLeavesTheOldFile() {
    Guest guest = bench().fork();
    Bench.sh(guest, "echo old > /tmp/file");
    InputStream broken =
        new InputStream() {
          private int left = 2;

          @Override
          public int read(byte[] into, int offset, int length) throws IOException {
            if (left-- == 0) {
              throw new IOException("the disk is gone");
            }
            return length;
          }

          @Override
          public int read() throws IOException {
            return read(new byte[1], 0, 1);
          }
        };
    assertThat(
            Contract.failureOf(() -> guest.writeFile("/tmp/file", 0644, broken, Bench.SOON))
                .message())
        .contains("the disk is gone");
    assertThat(Bench.sh(guest, "cat /tmp/file; ls -A /tmp").stdout()).isEqualTo("old\nfile\n");
  }
}
