package dev.forkd.engine.process;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class FateTest {
  private static final long LIMIT = 64 << 20;

  @Test
  void sentencesTellWhatHappened() {
    assertThat(ended(status(FieldKey.SIGNAL, 9).integer(FieldKey.OOM_KILLS, 1).build()))
        .isEqualTo("sandbox s was killed: out of memory (limit 64 MiB)");
    assertThat(ended(status(FieldKey.SIGNAL, 9).integer(FieldKey.OOM_KILLS, 0).build()))
        .isEqualTo("sandbox s was killed by SIGKILL");
    assertThat(ended(status(FieldKey.SIGNAL, 40).build()))
        .isEqualTo("sandbox s was killed by signal 40");
    assertThat(ended(status(FieldKey.EXIT_CODE, 3).text(FieldKey.MESSAGE, "noise").build()))
        .isEqualTo("sandbox s ended with exit code 3");
    assertThat(ended(Fields.builder().text(FieldKey.MESSAGE, "its warden\ndied").build()))
        .isEqualTo("sandbox s ended: its warden died");
    assertThat(ended(Fields.NONE)).isEqualTo("sandbox s ended");
  }

  @Test
  void anOomWithoutALimitNamesNone() {
    Fate fate = new Fate("sandbox s", 0);
    fate.tellRuntimeEnded(status(FieldKey.SIGNAL, 9).integer(FieldKey.OOM_KILLS, 2).build());
    assertThat(fate.runtimeEndWithin(Duration.ZERO).orElseThrow().message())
        .isEqualTo("the runtime of sandbox s was killed: out of memory; only exec still works");
  }

  @Test
  void anEndThatWasAskedForIsNotTold() {
    Fate fate = new Fate("sandbox s", 0);
    fate.expectEnd();
    fate.tellEnded(Fields.NONE);
    assertThat(fate.ended()).isNotDone();
    assertThat(fate.endWithin(Duration.ofMillis(1))).isEmpty();
  }

  @Test
  void theFirstReasonStays() {
    Fate fate = new Fate("sandbox s", 0);
    fate.tellEnded("first");
    fate.tellEnded("second");
    assertThat(fate.endWithin(Duration.ZERO)).contains("first");
  }

  private static Fields.Builder status(int key, int value) {
    return Fields.builder().integer(key, value);
  }

  private static String ended(Fields event) {
    Fate fate = new Fate("sandbox s", LIMIT);
    fate.tellEnded(event);
    return fate.ended().join();
  }
}
