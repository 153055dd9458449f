package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.host.FileTree;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What needs root: a real mmdebstrap and a disk that is full. */
class ImageStoreIT {
  private static final Duration SHORT = Duration.ofSeconds(30);

  @TempDir Path temp;
  private final List<String> progress = new ArrayList<>();
  private final List<String> log = new ArrayList<>();

  private final ImageListener listener =
      new ImageListener() {
        @Override
        public void progress(String message) {
          progress.add(message);
        }

        @Override
        public void log(String line) {
          log.add(line);
        }
      };

  @BeforeEach
  void needsRoot() throws IOException {
    require(Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0), "needs root");
  }

  private static void require(boolean there, String what) {
    List<String> must = List.of(System.getenv().getOrDefault("FORKD_MUST_RUN", "").split(","));
    if (!there && must.contains("process")) {
      throw new AssertionError("FORKD_MUST_RUN=process, but the image store " + what);
    }
    Assumptions.assumeTrue(there, "the image store " + what);
  }

  private Recipe recipe(String more) {
    return RecipeParser.parse("name: it\n" + more, temp);
  }

  private static Failure failureOf(Runnable action) {
    try {
      action.run();
      throw new AssertionError("succeeded");
    } catch (ForkdException failed) {
      return failed.failure();
    }
  }

  @Test
  void debianPackagesBecomeARootThatRuns() throws IOException {
    require(BuildTool.isInstalled("mmdebstrap"), "needs mmdebstrap");
    ImageStore store = new ImageStore(temp.resolve("images"), List.of());
    Recipe recipe = recipe("image: apt\npackages: [hello]");

    RootImage image = store.prepare(recipe, listener);

    Path root = image.layers().getFirst().path();
    assertThat(image.layers()).containsExactly(new RootImage.Layer(root, true, false));
    assertThat(Files.getAttribute(root.resolve("usr"), "unix:uid")).isEqualTo(0);
    List<String> hello = List.of("chroot", root.toString(), "/usr/bin/hello");
    assertThat(BuildTool.run(hello, SHORT, log::add).tail()).isEqualTo("Hello, world!");
    assertThat(root.resolve("usr/share/man/man1")).doesNotExist();
    assertThat(progress.getFirst()).startsWith("installing ").contains("with hello from http");
    assertThat(log).isNotEmpty();
    assertThat(Files.readString(Path.of("/proc/self/mountinfo"))).doesNotContain(root.toString());

    progress.clear();
    assertThat(store.prepare(recipe, listener)).isEqualTo(image);
    assertThat(progress).isEmpty();
    assertThat(store.remove(image.digest())).isGreaterThan(10_000_000);
    assertThat(root).doesNotExist();
  }

  @Test
  void aBuildThatFailsShowsTheEndOfItsLogAndLeavesNothing() throws IOException {
    require(BuildTool.isInstalled("mmdebstrap"), "needs mmdebstrap");
    ImageStore store = new ImageStore(temp.resolve("images"), List.of());
    Recipe recipe = recipe("image: {apt: {mirror: 'file:///no-such-archive'}}");

    Failure failure = failureOf(() -> store.prepare(recipe, listener));

    assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
    assertThat(failure.message()).contains("mmdebstrap").contains("exit code");
    assertThat(failure.detail()).contains("/no-such-archive");
    assertThat(temp.resolve("images/layers")).isEmptyDirectory();
    assertThat(store.images()).isEmpty();
  }

  @Test
  void pythonIsAskedForBeforeAnythingIsDownloaded() {
    ImageStore store = new ImageStore(temp.resolve("images"), List.of());
    assertThatThrownBy(() -> store.prepare(recipe("image: apt\nruntime: python"), listener))
        .hasMessageContaining("needs the package python3");
    assertThat(progress).isEmpty();
  }

  @Test
  void aFullDiskIsNamedAndNothingIsLeft() throws IOException {
    Path disk = Files.createDirectory(temp.resolve("disk"));
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.toString());
    try {
      Path images = disk.resolve("images");
      ImageStore store = new ImageStore(images, List.of());
      Files.write(temp.resolve("large"), new byte[4 << 20]);
      Files.writeString(temp.resolve("small"), "x");

      Failure failure =
          failureOf(
              () -> store.prepare(recipe("files: [{from: large, to: /opt/large}]"), listener));

      assertThat(failure.kind()).isEqualTo(FailureKind.EXHAUSTED);
      assertThat(failure.message()).contains("the disk of " + images).contains("bytes free");
      assertThat(images.resolve("layers")).isEmptyDirectory();
      RootImage image = store.prepare(recipe("files: [{from: small, to: /opt/small}]"), listener);
      assertThat(image.layers().getFirst().path().resolve("opt/small")).hasContent("x");
    } finally {
      run("umount", disk.toString());
    }
  }

  @Test
  void removingATreeStopsAtAMount() throws IOException {
    Path tree = Files.createDirectories(temp.resolve("tree/mounted")).getParent();
    run("mount", "-t", "tmpfs", "tmpfs", tree.resolve("mounted").toString());
    Path precious = tree.resolve("mounted/precious");
    try {
      Files.writeString(precious, "x");
      assertThatThrownBy(() -> FileTree.delete(tree)).hasMessageContaining("another file system");
      assertThat(precious).exists();
    } finally {
      run("umount", tree.resolve("mounted").toString());
    }
    FileTree.delete(tree);
    assertThat(Files.exists(tree, LinkOption.NOFOLLOW_LINKS)).isFalse();
  }

  private static void run(String... command) {
    BuildTool.Ended ended = BuildTool.run(List.of(command), SHORT, line -> {});
    assertThat(ended.exitCode()).as(ended.tail()).isZero();
  }
}
