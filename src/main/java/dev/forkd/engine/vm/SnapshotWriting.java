package dev.forkd.engine.vm;

import dev.forkd.host.Deadline;
import dev.forkd.host.FileTree;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Completes the files of a branch and makes it a template; also one that was written earlier. */
final class SnapshotWriting {
  private static final int BLOCK_BYTES = 512;

  private final Site site;
  private final Setting setting;
  private final Live live;

  /** For snapshots of which {@code setting} holds, but for the tag. */
  SnapshotWriting(Site site, Setting setting, Live live) {
    this.site = site;
    this.setting = setting;
    this.live = live;
  }

  Path wrapper() {
    return site.paths().wrapper();
  }

  /** A template of the captured pages, on top of those of {@code from}. */
  VmTemplate delta(Frozen from, Tag tag, BranchFiles files, Deadline deadline) throws IOException {
    files.makeLower();
    List<PageFile> pages = new ArrayList<>();
    List<String> digests = new ArrayList<>();
    if (from.base().isPresent()) {
      Path memory = from.memory().file();
      digests.add(from.base().get().put(memory, files.lower(0), files.lowerIndex(0), deadline));
    }
    for (PageFile below : from.pages()) {
      int number = digests.size();
      keep(from, below, files.lower(number), files.lowerIndex(number), deadline);
      digests.add(below.digest());
      pages.add(below);
    }
    PageFile own = own(from, files);
    pages.add(own);
    digests.add(own.digest());
    write(from, files, digests);
    List<Path> held = new ArrayList<>(List.of(from.memory().file()));
    pages.forEach(page -> held.add(page.path()));
    TemplateMemory memory = new TemplateMemory(wrapper(), 0, held);
    return open(tag, files, from, new Frozen.Pages(memory, pages, from.base()));
  }

  private void keep(Frozen from, PageFile below, Path file, Path index, Deadline deadline) {
    if (!PageStore.link(wrapper(), below.path(), file, deadline)) {
      long bytes = from.machine().memoryBytes();
      PageStore.Source source = new PageStore.Source(below.path(), "-");
      PageStore.fill(wrapper(), bytes, file, index, List.of(source), deadline);
    }
    PageStore.write(below.index(), index);
  }

  /**
   * A template that needs no other one: the captured pages, if there are any, and all others as
   * {@code from} has them.
   */
  VmTemplate whole(Frozen from, Tag tag, BranchFiles files, Deadline deadline) throws IOException {
    List<PageStore.Source> lower = new ArrayList<>();
    Path scratch = Files.createTempDirectory(site.paths().runDir(), "fill-");
    try {
      for (PageFile page : from.pages().reversed()) {
        Path index = scratch.resolve(lower.size() + ".index");
        page.index().write(index);
        lower.add(new PageStore.Source(page.path(), index.toString()));
      }
      if (from.base().isPresent()) {
        lower.add(new PageStore.Source(from.memory().file(), "-"));
      }
      long bytes = from.machine().memoryBytes();
      PageStore.fill(wrapper(), bytes, files.memory(), files.index(), lower, deadline);
    } finally {
      FileTree.delete(scratch);
    }
    PageFile own = own(from, files);
    write(from, files, List.of(own.digest()));
    return open(
        tag,
        files,
        from,
        new Frozen.Pages(memoryOf(from.machine(), List.of(own)), List.of(own), Optional.empty()));
  }

  /** A template that was written down by an earlier engine and has been checked. */
  VmTemplate reopen(
      Machine machine,
      List<Path> layers,
      Stamp stamp,
      String report,
      BranchFiles files,
      List<PageFile> pages)
      throws IOException {
    TemplateMemory memory = memoryOf(machine, pages);
    Frozen like =
        new Frozen(
            "", files.dir(), machine, memory, pages, Optional.empty(), layers, stamp, report);
    return open(setting.tag(), files, like, new Frozen.Pages(memory, pages, Optional.empty()));
  }

  private TemplateMemory memoryOf(Machine machine, List<PageFile> pages) {
    List<Path> held = pages.stream().map(PageFile::path).toList();
    TemplateMemory memory = new TemplateMemory(wrapper(), machine.memoryMib(), held);
    memory.seal();
    return memory;
  }

  private PageFile own(Frozen from, BranchFiles files) {
    long bytes = from.machine().memoryBytes();
    PageIndex index = PageIndex.read(files.index(), bytes / PageIndex.PAGE_BYTES);
    String digest = PageStore.digest(wrapper(), bytes, files.memory(), files.index());
    return new PageFile(files.memory(), index, digest);
  }

  private void write(Frozen from, BranchFiles files, List<String> digests) throws IOException {
    files.write(
        new BranchFiles.Manifest(
            from.machine(),
            from.stamp().facts(),
            setting.hasRuntime(),
            from.report(),
            digests,
            files.stateDigest()));
  }

  private VmTemplate open(Tag tag, BranchFiles files, Frozen like, Frozen.Pages content)
      throws IOException {
    String number = "t" + site.numbers().incrementAndGet();
    Path dir = site.paths().runDir().resolve(number);
    try {
      Files.createDirectory(dir);
      Files.copy(files.state(), dir.resolve("state"));
      PageMap.of(content.files().stream().map(PageFile::index).toList()).write(dir.resolve("map"));
      List<PageFile> held = new ArrayList<>();
      for (int i = 0; i < content.files().size(); i++) {
        PageFile page = content.files().get(i);
        held.add(new PageFile(content.memory().pages().get(i), page.index(), page.digest()));
      }
      Frozen frozen =
          like.with(
              number + "-" + tag, dir, new Frozen.Pages(content.memory(), held, content.base()));
      return live.add(new VmTemplate(site, setting.as(tag), frozen, live));
    } catch (IOException | ForkdException e) {
      content.memory().close();
      FileTree.delete(dir);
      throw e;
    }
  }

  /** Bytes that a sparse file takes. */
  static long allocated(Path file) throws IOException {
    return Tool.run(List.of("stat", "-c", "%b", file.toString()), java.time.Duration.ofSeconds(10))
            .lines()
            .mapToLong(Long::parseLong)
            .findFirst()
            .orElseThrow(() -> new Failure(FailureKind.ENGINE, "stat said nothing").thrown())
        * BLOCK_BYTES;
  }
}
