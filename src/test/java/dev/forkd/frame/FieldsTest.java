package dev.forkd.frame;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FieldsTest {
  @Test
  void whatIsWrittenIsRead() {
    Fields inner = Fields.builder().text(FieldKey.NAME, "sb-1").build();
    Fields fields =
        Fields.parse(
            encoded(
                Fields.builder()
                    .texts(FieldKey.ARGV, List.of("sh", "", "größe"))
                    .entries(FieldKey.ENV, Map.of("A", "b=c"))
                    .integer(FieldKey.PID, Long.MIN_VALUE)
                    .flag(FieldKey.EOF, true)
                    .bytes(FieldKey.DATA, new byte[] {0, -1, 7}, 1, 2)
                    .nested(FieldKey.CHILD, inner)
                    .nested(FieldKey.CHILD, Fields.NONE)
                    .build()));
    assertThat(fields.texts(FieldKey.ARGV)).containsExactly("sh", "", "größe");
    assertThat(fields.text(FieldKey.ENV)).isEqualTo("A=b=c");
    assertThat(fields.integer(FieldKey.PID, 0, Long.MIN_VALUE, 0)).isEqualTo(Long.MIN_VALUE);
    assertThat(fields.flag(FieldKey.EOF)).isTrue();
    assertThat(fields.bytes(FieldKey.DATA)).containsExactly(-1, 7);
    assertThat(fields.nested(FieldKey.CHILD)).containsExactly(inner, Fields.NONE);
  }

  @Test
  void absenceHasADefault() {
    assertThat(Fields.NONE.has(FieldKey.PID)).isFalse();
    assertThat(Fields.NONE.text(FieldKey.CWD)).isEmpty();
    assertThat(Fields.NONE.texts(FieldKey.ARGV)).isEmpty();
    assertThat(Fields.NONE.bytes(FieldKey.DATA)).isEmpty();
    assertThat(Fields.NONE.nested(FieldKey.CHILD)).isEmpty();
    assertThat(Fields.NONE.flag(FieldKey.EOF)).isFalse();
    assertThat(Fields.NONE.integer(FieldKey.PID, 42, 0, 1)).isEqualTo(42);
  }

  @Test
  void keysAbove127AreKeys() {
    Fields fields = Fields.builder().text(200, "x").build();
    assertThat(fields.text(200)).isEqualTo("x");
  }

  @Test
  void hostileTextIsReplacedNotThrown() {
    Fields fields = Fields.builder().bytes(FieldKey.MESSAGE, new byte[] {'a', 0, -1, 'z'}).build();
    assertThat(fields.text(FieldKey.MESSAGE)).isEqualTo("a\uFFFD\uFFFDz");
  }

  @Test
  void anIntegerIsCheckedForFormAndRange() {
    Fields shortInt = Fields.builder().bytes(FieldKey.PID, new byte[7]).build();
    assertBroken(() -> shortInt.integer(FieldKey.PID, 0, 0, 9));
    Fields big = Fields.builder().integer(FieldKey.PID, 10).build();
    assertBroken(() -> big.integer(FieldKey.PID, 0, 0, 9));
    assertBroken(() -> big.flag(FieldKey.PID));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "01", // a key alone
        "01000000", // half a length
        "0100000001", // one byte promised, none there
        "01ffffffff", // a length that is negative as a Java int
        "0180000000ff",
        "017ffffffb00", // a length that would overflow when the header is added
        "0100000001aa02", // a good field, then rubbish
      })
  void aFieldThatRunsOverTheEndIsRefused(String hex) {
    assertBroken(() -> Fields.parse(HexFormat.of().parseHex(hex)));
  }

  @Test
  void anythingThatParsesCanBeReadWithoutRunningOver() {
    Random random = new Random(7);
    int parsed = 0;
    for (int i = 0; i < 50_000; i++) {
      byte[] bytes = new byte[random.nextInt(24)];
      for (int at = 0; at < bytes.length; at++) {
        bytes[at] = (byte) (random.nextInt(3) > 0 ? random.nextInt(4) : random.nextInt());
      }
      try {
        readAll(Fields.parse(bytes));
        parsed++;
      } catch (ForkdException e) {
        assertThat(e.kind()).isEqualTo(FailureKind.ENGINE);
      }
    }
    assertThat(parsed).isGreaterThan(500);
  }

  @Test
  void whatCannotTravelIsRefusedWhenWritten() {
    assertThatThrownBy(() -> Fields.builder().text(FieldKey.CODE, "a\0b"))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.INVALID));
    byte[] half = new byte[Frame.MAX_PAYLOAD / 2];
    assertThatThrownBy(() -> Fields.builder().bytes(1, half).bytes(1, half))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.TOO_LARGE));
  }

  private static void readAll(Fields fields) {
    for (int key = 0; key < 5; key++) {
      fields.text(key);
      fields.texts(key);
      fields.bytes(key);
      try {
        fields.integer(key, 0, 0, 1);
        fields.nested(key);
      } catch (ForkdException e) {
        assertThat(e.kind()).isEqualTo(FailureKind.ENGINE);
      }
    }
  }

  private static byte[] encoded(Fields fields) {
    byte[] frame = new Frame(1, 1, fields).encoded();
    return java.util.Arrays.copyOfRange(frame, 9, frame.length);
  }

  private static void assertBroken(org.assertj.core.api.ThrowableAssert.ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.ENGINE))
        .hasMessageContaining("protocol was broken");
  }

  @Test
  void theWireFormIsTheDocumentedOne() {
    byte[] bytes =
        new Frame(FrameType.PING, 0x01020304, Fields.builder().text(FieldKey.CWD, "/a").build())
            .encoded();
    assertThat(HexFormat.of().formatHex(bytes))
        .isEqualTo("0000000c0201020304" + "0400000002" + "2f61");
    assertThat(new String(bytes, 14, 2, UTF_8)).isEqualTo("/a");
  }
}
