package dev.forkd.engine.vm;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.ForkdException;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A saved machine is resumed only where it was saved. */
class StampTest {
  private final Stamp stamp = new Stamp(Map.of("qemu", "7.2", "kernel", "6.1"));

  @Test
  void theSameIsAccepted() {
    assertThatCode(() -> stamp.check(new Stamp(stamp.facts()), "numpy")).doesNotThrowAnyException();
  }

  @Test
  void whatHasChangedIsNamed() {
    assertThatThrownBy(() -> stamp.check(new Stamp(Map.of("qemu", "8", "kernel", "6.1")), "numpy"))
        .isInstanceOf(ForkdException.class)
        .hasMessageContainingAll("numpy", "its qemu was 7.2 and is 8");
    assertThatThrownBy(() -> stamp.check(new Stamp(Map.of("qemu", "7.2")), "numpy"))
        .hasMessageContaining("its kernel was 6.1 and is nothing");
  }
}
