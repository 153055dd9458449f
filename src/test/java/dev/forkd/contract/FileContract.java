package dev.forkd.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.engine.Guest;
import dev.forkd.model.FailureKind;
import dev.forkd.model.FileInfo;
import dev.forkd.model.SandboxFiles;
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

  @Test
  default void directoriesAreListedAndChanged() {
    Guest guest = bench().fork();
    SandboxFiles files = guest.files();
    files.makeDirectory("/tmp/d/e", 0750, true);
    Bench.sh(guest, "cd /tmp/d; echo hello > f; ln -s ../f e/l; mkfifo p; touch $'new\\nline'");
    assertThat(files.list("/tmp/d", 100))
        .extracting(info -> info.name() + ":" + info.kind().word())
        .containsExactlyInAnyOrder("e:directory", "f:file", "p:other", "$new\\nline:file");
    assertThat(files.stat("/tmp/d/e").mode()).isEqualTo(0750);
    assertThat(files.stat("/tmp/d/f").bytes()).isEqualTo(6);
    assertThat(files.stat("/tmp/d/e/l").target()).isEqualTo("../f");
    files.link("/tmp/d/again", "f");
    assertThat(Bench.sh(guest, "cat /tmp/d/again /tmp/d/e/l").stdout()).isEqualTo("hello\nhello\n");
    files.remove("/tmp/d/again");
    assertThat(kindOf(() -> files.remove("/tmp/d"))).isEqualTo(FailureKind.ENGINE);
    assertThat(kindOf(() -> files.stat("/tmp/none"))).isEqualTo(FailureKind.NOT_FOUND);
    assertThat(kindOf(() -> files.makeDirectory("/tmp/d", 0755, false)))
        .isEqualTo(FailureKind.CONFLICT);
    assertThat(kindOf(() -> files.list("relative", 1))).isEqualTo(FailureKind.INVALID);
  }

  @Test
  default void aLargeDirectoryIsListedInPages() {
    Guest guest = bench().fork();
    Bench.sh(guest, "mkdir /tmp/many; cd /tmp/many; seq 1 5000 | xargs touch");
    assertThat(guest.files().list("/tmp/many", 100_000))
        .extracting(FileInfo::name)
        .hasSize(5000)
        .doesNotHaveDuplicates();
    assertThat(guest.files().list("/tmp/many", 10)).hasSize(10);
  }

  private static FailureKind kindOf(Runnable work) {
    return Contract.failureOf(work::run).kind();
  }
}
