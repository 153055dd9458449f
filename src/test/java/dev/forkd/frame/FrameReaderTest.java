package dev.forkd.frame;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FrameReaderTest {
  @Test
  void framesComeOutAsTheyWentInHoweverTheStreamIsCut() throws IOException {
    Random random = new Random(11);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(out);
    Frame[] frames = new Frame[200];
    for (int i = 0; i < frames.length; i++) {
      byte[] data = new byte[random.nextInt(5_000)];
      random.nextBytes(data);
      Fields fields = Fields.builder().bytes(FieldKey.DATA, data).build();
      frames[i] = new Frame(random.nextInt(256), random.nextInt(), fields);
      writer.write(frames[i]);
    }
    FrameReader reader = new FrameReader(new Dripping(out.toByteArray(), random));
    for (Frame frame : frames) {
      assertThat(reader.read()).contains(frame);
    }
    assertThat(reader.read()).isEmpty();
  }

  @Test
  void theLargestFrameFits() throws IOException {
    byte[] data = new byte[Frame.MAX_PAYLOAD - 5];
    Frame frame = new Frame(1, -1, Fields.builder().bytes(FieldKey.DATA, data).build());
    byte[] bytes = frame.encoded();
    assertThat(bytes).hasSize(4 + Frame.MAX_LENGTH);
    assertThat(new FrameReader(new ByteArrayInputStream(bytes)).read()).contains(frame);
  }

  @ParameterizedTest
  @ValueSource(strings = {"00000000", "00000004ff", "00100001ff", "ffffffffff", "80000000ff"})
  void aLengthOutsideTheLimitsIsRefused(String hex) {
    assertThatThrownBy(() -> readerOf(hex).read())
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.ENGINE))
        .hasMessageContaining("is outside 5..1048576");
  }

  @ParameterizedTest
  @ValueSource(strings = {"00", "000000", "00000005", "0000000501", "00000006010000000a"})
  void anEndInsideAFrameIsNotACleanEnd(String hex) {
    assertThatThrownBy(() -> readerOf(hex).read()).isInstanceOf(EOFException.class);
  }

  @Test
  void randomBytesEndInAFrameAnEndOrARefusal() throws IOException {
    Random random = new Random(3);
    for (int i = 0; i < 20_000; i++) {
      byte[] bytes = new byte[random.nextInt(64)];
      random.nextBytes(bytes);
      if (bytes.length > 3) {
        Arrays.fill(bytes, 0, 3, (byte) 0);
      }
      FrameReader reader = new FrameReader(new ByteArrayInputStream(bytes));
      try {
        while (reader.read().isPresent()) {
          assertThat(bytes.length).isGreaterThan(8);
        }
      } catch (EOFException e) {
        assertThat(e).hasMessageContaining("inside a frame");
      } catch (ForkdException e) {
        assertThat(e.kind()).isEqualTo(FailureKind.ENGINE);
      }
    }
  }

  private static FrameReader readerOf(String hex) {
    return new FrameReader(new ByteArrayInputStream(HexFormat.of().parseHex(hex)));
  }

  /** A stream that gives a few bytes at a time, as sockets do. */
  private static final class Dripping extends InputStream {
    private final ByteArrayInputStream all;
    private final Random random;

    Dripping(byte[] bytes, Random random) {
      this.all = new ByteArrayInputStream(bytes);
      this.random = random;
    }

    @Override
    public int read() {
      return all.read();
    }

    @Override
    public int read(byte[] into, int offset, int length) {
      return all.read(into, offset, Math.min(length, 1 + random.nextInt(700)));
    }
  }
}
