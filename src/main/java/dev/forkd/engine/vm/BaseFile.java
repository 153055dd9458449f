package dev.forkd.engine.vm;

import dev.forkd.host.Deadline;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The memory of a warmed template on disk. It is written when the first branch needs it to outlive
 * the daemon; every later branch gets a second name for the same file. Thread-safe.
 */
final class BaseFile implements AutoCloseable {
  private final Path wrapper;
  private final long bytes;
  private Optional<TemplateMemory> held = Optional.empty();
  private String digest = "";

  /** Of a template whose memory has so many bytes; nothing is written yet. */
  BaseFile(Path wrapper, long bytes) {
    this.wrapper = wrapper;
    this.bytes = bytes;
  }

  /**
   * Puts it into a branch's directory.
   *
   * @param memory the template's, sealed
   * @return its digest
   */
  synchronized String put(Path memory, Path file, Path index, Deadline deadline) {
    PageIndex whole = PageIndex.whole(bytes / PageIndex.PAGE_BYTES);
    if (held.isPresent() && PageStore.link(wrapper, held.get().file(), file, deadline)) {
      PageStore.write(whole, index);
      return digest;
    }
    PageStore.fill(
        wrapper, bytes, file, index, List.of(new PageStore.Source(memory, "-")), deadline);
    digest = PageStore.digest(wrapper, bytes, file, index);
    close();
    held = Optional.of(new TemplateMemory(wrapper, 0, List.of(file)));
    return digest;
  }

  @Override
  public synchronized void close() {
    held.ifPresent(TemplateMemory::close);
    held = Optional.empty();
  }
}
