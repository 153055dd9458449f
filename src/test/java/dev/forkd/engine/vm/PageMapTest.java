package dev.forkd.engine.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.contract.Contract;
import dev.forkd.engine.vm.PageIndex.Range;
import dev.forkd.engine.vm.PageMap.Entry;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the pages of a chain lie. */
class PageMapTest {
  private static final int PAGES = 500;

  @TempDir Path dir;

  @Test
  void theNewestOfEachPageIsTaken() {
    PageMap map =
        PageMap.of(
            List.of(
                index(new Range(0, 100)),
                index(new Range(10, 5), new Range(90, 20)),
                index(new Range(12, 1))));
    assertThat(map.entries())
        .containsExactly(
            new Entry(0, 10, 0),
            new Entry(10, 2, 1),
            new Entry(12, 1, 2),
            new Entry(13, 2, 1),
            new Entry(15, 75, 0),
            new Entry(90, 20, 1));
  }

  @Test
  void itAgreesWithAnArrayOfPages() {
    Random random = new Random(1);
    for (int round = 0; round < 200; round++) {
      int[] expected = new int[PAGES];
      Arrays.fill(expected, -1);
      List<PageIndex> files = new ArrayList<>();
      for (int file = 0; file < 5; file++) {
        List<Range> ranges = new ArrayList<>();
        for (int at = random.nextInt(40); at < PAGES - 40; at += 1 + random.nextInt(60)) {
          Range range = new Range(at, 1 + random.nextInt(30));
          ranges.add(range);
          Arrays.fill(expected, at, (int) range.end(), file);
          at = (int) range.end();
        }
        files.add(new PageIndex(ranges));
      }
      int[] found = new int[PAGES];
      Arrays.fill(found, -1);
      for (Entry entry : PageMap.of(files).entries()) {
        Arrays.fill(found, (int) entry.first(), (int) entry.end(), entry.file());
      }
      assertThat(found).isEqualTo(expected);
    }
  }

  @Test
  void aChainThatIsTooScatteredIsRefused() {
    PageIndex even =
        new PageIndex(LongStream.range(0, 31_000).mapToObj(i -> new Range(2 * i, 1)).toList());
    assertThat(Contract.failureOf(() -> PageMap.of(List.of(even))))
        .satisfies(failure -> assertThat(failure.kind()).isEqualTo(FailureKind.CONFLICT))
        .satisfies(failure -> assertThat(failure.message()).contains("31000", "compact"));
  }

  @Test
  void anIndexIsReadAsItWasWritten() throws IOException {
    PageIndex index = index(new Range(3, 4), new Range(9, 1));
    Path file = dir.resolve("index");
    index.write(file);
    assertThat(PageIndex.read(file, 10)).isEqualTo(index);
    assertRefused(file, 9, "range 1");
    Files.write(file, Arrays.copyOf(Files.readAllBytes(file), 47));
    assertRefused(file, 10, "its length");
    Files.write(file, new byte[15]);
    assertRefused(file, 10, "no index");
  }

  @Test
  void rangesThatNoWriterWritesAreRefused() throws IOException {
    assertRefusedRanges(5, 1, 4, 1);
    assertRefusedRanges(-1, 1);
    assertRefusedRanges(0, 0);
    assertRefusedRanges(1, Long.MAX_VALUE);
    assertRefusedRanges(10, 1);
  }

  private void assertRefusedRanges(long... words) throws IOException {
    ByteBuffer bytes = index().encoded();
    ByteBuffer all = ByteBuffer.allocate(16 + words.length * 8).order(ByteOrder.LITTLE_ENDIAN);
    all.put(bytes).putLong(8, words.length / 2);
    LongStream.of(words).forEach(all::putLong);
    Path file = dir.resolve("bad");
    Files.write(file, all.array());
    assertRefused(file, 10, "damaged: range");
  }

  private static void assertRefused(Path file, long pages, String why) {
    assertThat(Contract.failureOf(() -> PageIndex.read(file, pages)).message()).contains(why);
  }

  private static PageIndex index(Range... ranges) {
    return new PageIndex(List.of(ranges));
  }
}
