package dev.forkd.engine.vm;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Which pages of a guest's memory a file holds, each at its own offset; what {@code forkd-vm
 * capture} writes beside the file (docs/snapshot-format.md).
 *
 * @param ranges sorted, without overlaps
 */
record PageIndex(List<Range> ranges) {
  static final int PAGE_BYTES = 4096;

  private static final long MAGIC = 0x3145_4741_5044_4b46L; // "FKDPAGE1"
  private static final int HEAD_BYTES = 16;
  private static final int RANGE_BYTES = 16;

  /** More would be more mappings than a process may have. */
  private static final int MAX_RANGES = 16_384;

  /** Pages {@code first} to {@code first + count - 1}. */
  record Range(long first, long count) {
    long end() {
      return first + count;
    }
  }

  PageIndex {
    ranges = List.copyOf(ranges);
  }

  /** All pages of a memory. */
  static PageIndex whole(long pages) {
    return new PageIndex(List.of(new Range(0, pages)));
  }

  long pages() {
    return ranges.stream().mapToLong(Range::count).sum();
  }

  /**
   * The index in a file, which may be damaged.
   *
   * @param pages of the memory
   * @throws dev.forkd.model.ForkdException ENGINE when it is no index of such a memory
   */
  static PageIndex read(Path file, long pages) {
    try {
      if (Files.size(file) > HEAD_BYTES + (long) MAX_RANGES * RANGE_BYTES) {
        throw damaged(file, "it is too long");
      }
      ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      if (in.remaining() < HEAD_BYTES || in.getLong() != MAGIC) {
        throw damaged(file, "it is no index of pages");
      }
      long count = in.getLong();
      if (count != in.remaining() / RANGE_BYTES || in.remaining() % RANGE_BYTES != 0) {
        throw damaged(file, "its length does not fit its head");
      }
      return new PageIndex(ranges(file, in, pages));
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "reading " + file + ": " + e).thrown(e);
    }
  }

  private static List<Range> ranges(Path file, ByteBuffer in, long pages) {
    List<Range> ranges = new ArrayList<>();
    long end = 0;
    while (in.hasRemaining()) {
      Range range = new Range(in.getLong(), in.getLong());
      if (range.first() < end
          || range.first() >= pages
          || range.count() < 1
          || range.count() > pages - range.first()) {
        throw damaged(file, "range " + ranges.size() + " is not where it can be");
      }
      ranges.add(range);
      end = range.end();
    }
    return ranges;
  }

  private static RuntimeException damaged(Path file, String how) {
    return new Failure(FailureKind.ENGINE, file + " is damaged: " + how).thrown();
  }

  /** The form of {@link #read}. */
  ByteBuffer encoded() {
    ByteBuffer out =
        ByteBuffer.allocate(HEAD_BYTES + ranges.size() * RANGE_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(MAGIC).putLong(ranges.size());
    ranges.forEach(range -> out.putLong(range.first()).putLong(range.count()));
    return out.flip();
  }

  /** Writes the form of {@link #read}. */
  void write(Path file) throws IOException {
    Files.write(file, encoded().array());
  }
}
