package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.host.FileTree;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageStoreTest {
  @TempDir Path temp;
  private Path images;
  private Path base;
  private ImageStore store;

  @BeforeEach
  void open() throws IOException {
    images = temp.resolve("state/images");
    base = Files.createDirectory(temp.resolve("recipe"));
    store = new ImageStore(images, List.of(temp.resolve("state")));
    Files.createDirectories(base.resolve("tests/deep"));
    Files.writeString(base.resolve("tests/test_a.py"), "a");
    Files.writeString(base.resolve("tests/deep/run.sh"), "b");
    Files.setPosixFilePermissions(
        base.resolve("tests/deep/run.sh"), PosixFilePermissions.fromString("rwxr-x---"));
    Files.createSymbolicLink(base.resolve("tests/link"), Path.of("../elsewhere"));
    Files.createDirectories(base.resolve("tests/__pycache__"));
    Files.writeString(base.resolve("tests/__pycache__/x.pyc"), "c");
  }

  private Recipe recipe(String more) {
    return RecipeParser.parse("name: r\n" + more, base);
  }

  private Recipe withFiles() {
    return recipe("files: [{from: tests, to: /opt/r/tests}]");
  }

  private RootImage prepare(Recipe recipe) {
    return store.prepare(recipe, ImageListener.silent());
  }

  private static FailureKind kindOf(Callable<?> action) throws Exception {
    try {
      throw new AssertionError("gave " + action.call());
    } catch (ForkdException refused) {
      return refused.kind();
    }
  }

  @Test
  void aHostImageIsTheRootWithItsSecretsHidden() {
    RootImage image = prepare(recipe("workdir: /work/x"));
    assertThat(image.layers()).containsExactly(new RootImage.Layer(Path.of("/"), false, false));
    assertThat(image.hidden())
        .contains("/root", "/etc/shadow", "/tmp", "/var/log")
        .doesNotContain("/usr", "/etc", "/proc", "/dev", "/no/such")
        .allSatisfy(path -> assertThat(Files.exists(Path.of(path))).as(path).isTrue());
    assertThat(image.writable()).contains("/root", "/tmp", "/etc", "/work/x");
  }

  @Test
  void hiddenPathsCoverForkdsOwnDirectoriesAndTheRecipes() throws IOException {
    List<String> hidden =
        HostImage.hidden(List.of("/usr/share/doc", "/usr/share/doc/x", "/no/such"));
    assertThat(hidden).contains("/usr/share/doc").doesNotContain("/usr/share/doc/x", "/no/such");
    // The state directory of this test lies below /tmp, which is hidden as a whole.
    assertThat(prepare(recipe("")).hidden())
        .anyMatch(path -> HostImage.isIn(images.toString(), path));
  }

  @Test
  void aHiddenPathIsNamedByItsRealPlace() throws IOException {
    // /bin is a link to usr/bin where /usr is merged; the engine refuses links on the way.
    assertThat(HostImage.hidden(List.of("/bin/sh")))
        .contains(Path.of("/bin").toRealPath() + "/sh")
        .contains(Path.of("/bin/sh").toRealPath().toString())
        .allSatisfy(path -> {
          Path parent = Path.of(path).getParent();
          assertThat(parent.toRealPath()).isEqualTo(parent);
        });
  }

  @Test
  void filesBecomeALayerThatKeepsModesAndLinks() throws IOException {
    RootImage image = prepare(withFiles());
    assertThat(image.layers()).hasSize(2);
    RootImage.Layer layer = image.layers().getFirst();
    assertThat(layer.idMapped()).isTrue();
    // It lies below "/", which overlayfs refuses as another layer of the same stack.
    assertThat(layer.copied()).isTrue();
    Path tests = layer.path().resolve("opt/r/tests");
    assertThat(tests.resolve("test_a.py")).hasContent("a");
    assertThat(
            PosixFilePermissions.toString(
                Files.getPosixFilePermissions(tests.resolve("deep/run.sh"))))
        .isEqualTo("rwxr-x---");
    assertThat(Files.readSymbolicLink(tests.resolve("link"))).hasToString("../elsewhere");
    assertThat(tests.resolve("__pycache__")).doesNotExist();
    assertThat(Files.getLastModifiedTime(tests.resolve("test_a.py")))
        .isEqualTo(Files.getLastModifiedTime(base.resolve("tests/test_a.py")));
  }

  @Test
  void theDigestIsStableAndFollowsContentModeAndName() throws IOException {
    String first = prepare(withFiles()).digest();
    assertThat(prepare(withFiles()).digest()).isEqualTo(first);
    Files.writeString(base.resolve("tests/__pycache__/y.pyc"), "d");
    assertThat(prepare(withFiles()).digest()).isEqualTo(first);

    Files.writeString(base.resolve("tests/test_a.py"), "A");
    String content = prepare(withFiles()).digest();
    Path script = base.resolve("tests/deep/run.sh");
    Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
    String mode = prepare(withFiles()).digest();
    Files.move(script, base.resolve("tests/deep/ran.sh"));
    String name = prepare(withFiles()).digest();
    Files.delete(base.resolve("tests/link"));
    Files.createSymbolicLink(base.resolve("tests/link"), Path.of("target"));
    String link = prepare(withFiles()).digest();
    assertThat(List.of(first, content, mode, name, link)).doesNotHaveDuplicates();
  }

  @Test
  void anImageIsFoundAgainWithoutItsSources() throws IOException {
    RootImage image = prepare(withFiles());
    FileTree.delete(base);
    ImageStore reopened = new ImageStore(images, List.of());
    assertThat(reopened.find(image.digest())).contains(image);
    assertThat(reopened.find("0".repeat(64))).isEmpty();
    assertThat(reopened.find("../../etc")).isEmpty();
  }

  @Test
  void whatCameToTheHostSinceIsHiddenInAStoredImageToo() {
    RootImage image = prepare(recipe("image: {host: {hide: [/usr/share/doc]}}"));
    ImageStore reopened = new ImageStore(images, List.of(Path.of("/usr/share/man")));
    RootImage found = reopened.find(image.digest()).orElseThrow();
    assertThat(found.digest()).isEqualTo(image.digest());
    assertThat(found.layers()).isEqualTo(image.layers());
    assertThat(found.hidden()).containsAll(image.hidden()).contains("/usr/share/man");
  }

  @Test
  void removingAnImageKeepsTheLayersOfOthers() {
    RootImage one = prepare(withFiles());
    RootImage two = prepare(recipe("workdir: /opt/r\nfiles: [{from: tests, to: /opt/r/tests}]"));
    Path layer = one.layers().getFirst().path();
    assertThat(two.layers().getFirst().path()).isEqualTo(layer);
    assertThat(store.images())
        .extracting(StoredImage::digest)
        .containsExactlyInAnyOrder(one.digest(), two.digest());
    assertThat(store.images()).allSatisfy(image -> assertThat(image.bytes()).isEqualTo(2));

    assertThat(store.remove(one.digest())).isZero();
    assertThat(layer).exists();
    assertThat(store.remove(two.digest())).isEqualTo(2);
    assertThat(layer).doesNotExist();
    assertThat(store.images()).isEmpty();
    assertThat(store.remove(two.digest())).isZero();
  }

  @Test
  void sourcesThatCannotBeCopiedAreRefused() throws Exception {
    assertThatThrownBy(() -> prepare(recipe("files: [{from: nothing, to: /opt/x}]")))
        .hasMessageContaining(base.resolve("nothing") + " does not exist");
    try (ServerSocketChannel socket = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      socket.bind(UnixDomainSocketAddress.of(base.resolve("tests/s")));
      assertThat(kindOf(() -> prepare(withFiles()))).isEqualTo(FailureKind.INVALID);
    }
    Files.delete(base.resolve("tests/s"));
    String clash = "files: [{from: tests/test_a.py, to: /opt/r}, {from: tests, to: /opt/r/t}]";
    assertThatThrownBy(() -> prepare(recipe(clash)))
        .hasMessageContaining("is copied as a file and used as a directory");
    assertThat(left()).isEmpty();
  }

  @Test
  void filesInAHiddenPlaceAreRefusedWithABetterOne() {
    assertThatThrownBy(() -> prepare(recipe("files: [{from: tests, to: /root/tests}]")))
        .hasMessageContaining("would go into /root")
        .hasMessageContaining("use /opt/r");
  }

  @Test
  void filesMayNotReplaceALinkOfTheImage() throws IOException {
    Files.createDirectories(temp.resolve("root/usr/bin"));
    Files.createSymbolicLink(temp.resolve("root/bin"), Path.of("usr/bin"));
    String image = "image: {dir: ../root}\nfiles: ";
    assertThatThrownBy(() -> prepare(recipe(image + "[{from: tests/test_a.py, to: /bin/x}]")))
        .hasMessageContaining("would go through /bin, a link");
    assertThatThrownBy(() -> prepare(recipe(image + "[{from: tests, to: /bin}]")))
        .hasMessageContaining("would go through /bin, a link");
    assertThat(prepare(recipe(image + "[{from: tests, to: /usr/bin}]")).layers()).hasSize(2);
  }

  @Test
  void missingPackagesAreNamedWithTheCommand() {
    assertThatThrownBy(() -> prepare(recipe("packages: [dpkg, no-such-package-of-forkd]")))
        .hasMessageEndingWith(
            "this host lacks no-such-package-of-forkd;"
                + " run: sudo apt-get install -y no-such-package-of-forkd");
  }

  @Test
  void aMissingInterpreterIsNoticedBeforeTheWarmUp() {
    String runtime = "runtime: {language: python, interpreter: /opt/no/python3}";
    assertThatThrownBy(() -> prepare(recipe(runtime)))
        .hasMessageContaining("this host has no /opt/no/python3");
    Recipe hidden = recipe("image: {host: {hide: [/usr/bin]}}\nruntime: python");
    assertThatThrownBy(() -> prepare(hidden)).hasMessageContaining("is hidden");
  }

  @Test
  void aDirectoryIsUsedWhereItLies() throws IOException {
    Path root = Files.createDirectories(temp.resolve("root/usr/bin")).getParent().getParent();
    Recipe recipe = recipe("image: {dir: ../root}\nfiles: [{from: tests, to: /opt/t}]");
    RootImage image = prepare(recipe);
    assertThat(image.layers().getLast())
        .isEqualTo(new RootImage.Layer(root.toRealPath(), true, false));
    assertThat(image.layers().getFirst().copied()).isFalse();
    assertThat(image.hidden()).isEmpty();
    assertThat(store.find(image.digest())).contains(image);
    RootImage bare = prepare(recipe("image: {dir: ../root}\nworkdir: /"));
    assertThat(store.find(bare.digest())).contains(bare);
    Files.writeString(root.resolve("usr/bin/new"), "x");
    RootImage other = prepare(recipe);
    assertThat(other.digest()).isNotEqualTo(image.digest());
    assertThat(store.find(image.digest())).isEmpty();
    assertThat(store.find(other.digest())).contains(other);
    FileTree.delete(root);
    assertThat(store.find(other.digest())).isEmpty();
  }

  @Test
  void aDirectoryThatIsNoRootIsRefused() throws IOException {
    assertThatThrownBy(() -> prepare(recipe("image: {dir: tests}")))
        .hasMessageContaining("neither usr nor bin");
    assertThatThrownBy(() -> prepare(recipe("image: {dir: nothing}")))
        .hasMessageContaining("cannot be read");
    Files.createSymbolicLink(base.resolve("slash"), Path.of("/"));
    assertThatThrownBy(() -> prepare(recipe("image: {dir: slash}")))
        .hasMessageContaining("use `image: host`");
    Files.createDirectories(temp.resolve("root/bin"));
    assertThatThrownBy(() -> prepare(recipe("image: {dir: ../root}\nruntime: python")))
        .hasMessageContaining("the image has no /usr/bin/python3");
  }

  @Test
  void oneLayerIsBuiltOnceHoweverManyWantIt() throws Exception {
    LayerStore layers = new LayerStore(temp.resolve("layers"));
    layers.open();
    String digest = new ContentDigest("test").hex();
    AtomicInteger builds = new AtomicInteger();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Path>> trees = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        trees.add(
            threads.submit(() ->
                layers.prepare(
                    digest,
                    "test",
                    tree -> {
                      builds.incrementAndGet();
                      Files.writeString(tree.resolve("f"), "x".repeat(1 << 20));
                    })));
      }
      for (Future<Path> tree : trees) {
        assertThat(tree.get(30, TimeUnit.SECONDS).resolve("f")).hasSize(1 << 20);
      }
    }
    assertThat(builds).hasValue(1);
  }

  @Test
  void aFailedBuildLeavesNothingAndMayBeTriedAgain() throws IOException {
    Path dir = temp.resolve("layers");
    LayerStore layers = new LayerStore(dir);
    layers.open();
    String digest = new ContentDigest("test").hex();
    assertThatThrownBy(() ->
            layers.prepare(
                digest,
                "test",
                tree -> {
                  Files.writeString(tree.resolve("half"), "x");
                  throw new IOException("broke");
                }))
        .isInstanceOf(ForkdException.class)
        .hasMessage("image layer test: broke");
    assertThat(dir).isEmptyDirectory();
    assertThat(layers.prepare(digest, "test", _ -> {})).isEmptyDirectory();
  }

  @Test
  void whatAnInterruptedBuildLeftIsRemovedAtTheNextOpening() throws IOException {
    Path staging = images.resolve("layers/.staging-abc-1/tree/usr");
    Files.createDirectories(staging);
    ImageStore reopened = new ImageStore(images, List.of());
    assertThat(left()).isEmpty();
    assertThat(reopened.images()).isEmpty();
  }

  private List<Path> left() throws IOException {
    try (var entries = Files.list(images.resolve("layers"))) {
      return entries.toList();
    }
  }
}
