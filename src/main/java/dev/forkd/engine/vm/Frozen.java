package dev.forkd.engine.vm;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a warm-up or a branch leaves.
 *
 * @param name of the template
 * @param dir its directory below the run directory; holds {@code state} and, of a branch, {@code
 *     map}
 * @param memory that children map
 * @param pages that a branch has in place of those of {@code memory}, the oldest first
 * @param base {@code memory} on disk, where it holds pages; empty: all pages are in {@code pages}
 * @param layers disks, topmost first
 * @param report of the runtime
 */
record Frozen(
    String name,
    Path dir,
    Machine machine,
    TemplateMemory memory,
    List<PageFile> pages,
    @SuppressWarnings("OptionalUsedAsFieldOrParameterType") Optional<BaseFile> base,
    List<Path> layers,
    Stamp stamp,
    String report) {
  /**
   * Where a template's memory is.
   *
   * @param memory as above; so the others
   */
  record Pages(
      TemplateMemory memory,
      List<PageFile> files,
      @SuppressWarnings("OptionalUsedAsFieldOrParameterType") Optional<BaseFile> base) {}

  /** The same machine with other memory. */
  Frozen with(String otherName, Path otherDir, Pages other) {
    return new Frozen(
        otherName,
        otherDir,
        machine,
        other.memory(),
        other.files(),
        other.base(),
        layers,
        stamp,
        report);
  }

  /** All files that a child's memory is a mapping of. */
  List<String> mapped() {
    List<String> files = new ArrayList<>(List.of(memory.file().toString()));
    pages.forEach(page -> files.add(page.path().toString()));
    return files;
  }
}
