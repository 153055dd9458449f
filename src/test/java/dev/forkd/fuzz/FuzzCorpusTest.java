package dev.forkd.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.api.RestFuzzTarget;
import dev.forkd.archive.TarFuzzTarget;
import dev.forkd.frame.FrameFuzzTarget;
import dev.forkd.image.RecipeFuzzTarget;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * The kept corpora through the targets of {@code make fuzz}, and every input cut short and with a
 * bit turned: a short run of the same.
 */
class FuzzCorpusTest {
  private static final Path CORPORA = Path.of("src/test/resources/fuzz");
  private static final int STEPS = 24;

  private interface Target {
    void accept(byte[] data) throws IOException;
  }

  @Test
  void frames() throws IOException {
    replay("frame", FrameFuzzTarget::fuzzerTestOneInput);
  }

  @Test
  void recipes() throws IOException {
    replay("recipe", RecipeFuzzTarget::fuzzerTestOneInput);
  }

  @Test
  void archives() throws IOException {
    replay("tar", TarFuzzTarget::fuzzerTestOneInput);
  }

  @Test
  void requests() throws IOException {
    replay("rest", RestFuzzTarget::fuzzerTestOneInput);
  }

  private static void replay(String name, Target target) throws IOException {
    List<Path> inputs;
    try (Stream<Path> files = Files.list(CORPORA.resolve(name))) {
      inputs = files.sorted().toList();
    }
    assertThat(inputs).isNotEmpty();
    for (Path input : inputs) {
      byte[] data = Files.readAllBytes(input);
      target.accept(data);
      for (int i = 0; i < STEPS && data.length > 0; i++) {
        int at = (int) ((long) data.length * i / STEPS);
        target.accept(java.util.Arrays.copyOf(data, at));
        byte[] turned = data.clone();
        turned[at] ^= (byte) (1 << (i % Byte.SIZE));
        target.accept(turned);
      }
    }
  }
}
