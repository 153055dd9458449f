package dev.forkd.engine.vm;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where each page of a branch lies that is not the eldest template's: what {@code forkd-memory.so}
 * lays over the memory of a child.
 *
 * @param entries sorted, without overlaps
 */
record PageMap(List<Entry> entries) {
  private static final long MAGIC = 0x3150_414d_5f44_4b46L; // "FKD_MAP1"
  private static final int HEAD_BYTES = 16;
  private static final int ENTRY_BYTES = 24;

  /** Each is a mapping and may cut another in two; a process has 65530 of them. */
  private static final int MAX_ENTRIES = 30_000;

  /** A range of pages, and which of the files has them. */
  record Entry(long first, long count, int file) {
    long end() {
      return first + count;
    }
  }

  PageMap {
    entries = List.copyOf(entries);
  }

  /**
   * The newest of each page.
   *
   * @param files the oldest first
   * @throws ForkdException CONFLICT when they are too scattered
   */
  static PageMap of(List<PageIndex> files) {
    TreeMap<Long, Entry> map = new TreeMap<>();
    for (int i = 0; i < files.size(); i++) {
      for (PageIndex.Range range : files.get(i).ranges()) {
        lay(map, new Entry(range.first(), range.count(), i));
      }
    }
    if (map.size() > MAX_ENTRIES) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "the memory of this chain of snapshots is too scattered to be mapped (%d pieces, at most"
                  .formatted(map.size())
              + " "
              + MAX_ENTRIES
              + "); compact the snapshot that it is branched from");
    }
    return new PageMap(new ArrayList<>(map.values()));
  }

  private static void lay(TreeMap<Long, Entry> map, Entry added) {
    Map.Entry<Long, Entry> before = map.lowerEntry(added.first());
    if (before != null && before.getValue().end() > added.first()) {
      Entry cut = before.getValue();
      map.put(cut.first(), new Entry(cut.first(), added.first() - cut.first(), cut.file()));
      keepEnd(map, cut, added);
    }
    var covered = map.subMap(added.first(), true, added.end(), false);
    if (!covered.isEmpty()) {
      Entry last = covered.lastEntry().getValue();
      covered.clear();
      keepEnd(map, last, added);
    }
    map.put(added.first(), added);
  }

  private static void keepEnd(TreeMap<Long, Entry> map, Entry cut, Entry added) {
    if (cut.end() > added.end()) {
      map.put(added.end(), new Entry(added.end(), cut.end() - added.end(), cut.file()));
    }
  }

  /** Writes the form that the library reads. */
  void write(Path file) throws IOException {
    ByteBuffer out =
        ByteBuffer.allocate(HEAD_BYTES + entries.size() * ENTRY_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(MAGIC).putLong(entries.size());
    entries.forEach(
        entry -> out.putLong(entry.first()).putLong(entry.count()).putLong(entry.file()));
    Files.write(file, out.array());
  }
}
