package dev.forkd.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class JsonTest {
  @Test
  void textIsCompactAndKeepsOrder() {
    var node = Json.object().put("b", 1).put("a", "x y").putNull("c");
    node.set("d", Json.array().add(true));
    assertThat(Json.text(node)).isEqualTo("{\"b\":1,\"a\":\"x y\",\"c\":null,\"d\":[true]}");
  }

  @Test
  void whatIsWrittenIsReadAgain() {
    var node = Json.object().put("text", "aé€😀\u0000\n\"\\").put("n", Long.MAX_VALUE);
    assertThat(Json.parse(Json.text(node).getBytes(StandardCharsets.UTF_8))).isEqualTo(node);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "{",
        "{}{}",
        "[1] 2",
        "{\"a\":1,\"a\":2}",
        "nul",
        "{'a':1}",
        "{a:1}",
        "[1,]",
        "// c\n1",
        "NaN",
        "01"
      })
  void whatIsNotExactlyOneDocumentIsRefused(String text) {
    assertThatThrownBy(() -> Json.parse(text))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.INVALID))
        .hasMessageStartingWith("not JSON");
  }

  @Test
  void deepNestingIsRefused() {
    String deep = "[".repeat(100) + "]".repeat(100);
    assertThatThrownBy(() -> Json.parse(deep)).isInstanceOf(ForkdException.class);
    String fine = "[".repeat(60) + "]".repeat(60);
    assertThat(Json.parse(fine).isArray()).isTrue();
  }

  @Test
  void errorsSayWhere() {
    assertThatThrownBy(() -> Json.parse("{\"a\":1,\n \"b\":}"))
        .hasMessageContaining("line 2")
        .hasMessageNotContaining("\n");
  }
}
