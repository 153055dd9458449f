package dev.forkd.image;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Images on disk: {@code <digest>.json} says what an image is made of, {@code layers/<digest>}
 * holds a layer. Layers are shared by images. Thread-safe; made for one process at a time, but
 * another one cannot break what it builds.
 */
public final class ImageStore {
  private static final String HOST = "host";
  private static final String DIRECTORY = "dir";

  private final LayerStore layers;
  private final ImageIndex index;
  private final Path imagesDir;
  private final List<String> hidden;
  private final Path etc;

  /**
   * Opens the store, removing what interrupted builds left.
   *
   * @param imagesDir its directory; made if absent
   * @param hidden directories of forkd that an image of the host must not show
   */
  public ImageStore(Path imagesDir, List<Path> hidden) {
    this(imagesDir, hidden, Path.of("/etc"));
  }

  ImageStore(Path imagesDir, List<Path> hidden, Path etc) {
    this.etc = etc;
    try {
      layers = new LayerStore(imagesDir.resolve("layers"));
      layers.open();
      this.imagesDir = imagesDir.toRealPath();
      index = new ImageIndex(imagesDir, layers);
      Set<String> own = new TreeSet<>(Set.of(this.imagesDir.toString()));
      hidden.forEach(path -> own.add(path.toAbsolutePath().normalize().toString()));
      this.hidden = List.copyOf(own);
    } catch (IOException trouble) {
      throw DiskFailure.of("image store " + imagesDir, imagesDir, trouble);
    }
  }

  /**
   * The image that a recipe asks for, built unless it is there already.
   *
   * @throws ForkdException INVALID when the recipe cannot be fulfilled, UNSUPPORTED when a tool is
   *     missing, EXHAUSTED when the disk is full, ENGINE with the end of a tool's output. A failed
   *     build leaves nothing
   */
  public RootImage prepare(Recipe recipe, ImageListener listener) {
    try {
      return switch (recipe.image()) {
        case Recipe.Image.Host host -> host(recipe, host, listener);
        case Recipe.Image.Apt apt -> apt(recipe, apt, listener);
        case Recipe.Image.Directory dir -> directory(recipe, dir, listener);
      };
    } catch (IOException trouble) {
      throw DiskFailure.of("image of recipe " + recipe.name(), imagesDir, trouble);
    }
  }

  private RootImage host(Recipe recipe, Recipe.Image.Host host, ImageListener listener)
      throws IOException {
    HostImage.checkPackages(host.packages(), listener);
    List<String> more = new ArrayList<>(hidden);
    more.addAll(host.hide());
    // A working tree takes the place of what the host has there: merged with it, a directory that
    // only the host's root may read could not be read at all.
    recipe.files().stream()
        .filter(Recipe.CopiedFile::workingTree)
        .forEach(file -> more.add(file.to()));
    List<String> hides = HostImage.hidden(more);
    HostImage.check(recipe, hides);
    FilesLayer files = FilesLayer.of(recipe.files());
    ContentDigest digest = new ContentDigest("image/1").add(files.digest()).add(recipe.workdir());
    HostImage.addTo(digest, hides);
    return assemble(
        HOST,
        new RootImage(
            digest.hex(),
            stack(files, HostImage.layer()),
            hides,
            HostImage.writable(recipe.workdir())),
        files,
        listener);
  }

  private RootImage apt(Recipe recipe, Recipe.Image.Apt apt, ImageListener listener)
      throws IOException {
    boolean complete = !apt.suite().isEmpty() && !apt.mirror().isEmpty();
    AptSources sources = complete ? new AptSources("", "") : AptSources.read(etc);
    AptImage wanted = AptImage.of(apt, sources);
    String base = wanted.digest();
    FilesLayer files = FilesLayer.of(recipe.files());
    if (!layers.has(base)) {
      wanted.check(recipe);
    }
    ContentDigest digest =
        new ContentDigest("image/1").add(files.digest()).add(recipe.workdir()).add(base);
    try (ImageIndex.Use _ = index.use(base)) {
      Path tree = layers.prepare(base, wanted.described(), dir -> wanted.build(dir, listener));
      checkInterpreter(recipe, tree);
      return assemble(
          "apt",
          new RootImage(
              digest.hex(),
              stack(files, new RootImage.Layer(tree, true, false)),
              List.of(),
              ownWritable(recipe)),
          files,
          listener);
    }
  }

  private RootImage directory(Recipe recipe, Recipe.Image.Directory dir, ImageListener listener)
      throws IOException {
    Path root = DirectoryImage.check(dir.path());
    checkInterpreter(recipe, root);
    FilesLayer files = FilesLayer.of(recipe.files());
    return assemble(
        DIRECTORY,
        new RootImage(
            DirectoryImage.digest(files.digest(), recipe.workdir(), root),
            stack(files, new RootImage.Layer(root, true, false)),
            List.of(),
            ownWritable(recipe)),
        files,
        listener);
  }

  private static List<String> ownWritable(Recipe recipe) {
    return recipe.workdir().equals("/") ? List.of() : List.of(recipe.workdir());
  }

  private static void checkInterpreter(Recipe recipe, Path tree) {
    recipe
        .runtime()
        .ifPresent(runtime -> {
          Path inside = tree.resolve(runtime.interpreter().substring(1));
          if (!Files.exists(inside, LinkOption.NOFOLLOW_LINKS)) {
            throw new ForkdException(
                FailureKind.INVALID,
                "runtime: the image has no " + runtime.interpreter() + "; add its package");
          }
        });
  }

  /** The files' layer, if there are any, above {@code base}. */
  private List<RootImage.Layer> stack(FilesLayer files, RootImage.Layer base) {
    if (files.isEmpty()) {
      return List.of(base);
    }
    files.check(base.path());
    Path tree = layers.tree(files.digest()).toAbsolutePath();
    boolean inside = imagesDir.startsWith(base.path());
    return List.of(new RootImage.Layer(tree, true, inside), base);
  }

  private RootImage assemble(String kind, RootImage image, FilesLayer files, ImageListener listener)
      throws IOException {
    if (files.isEmpty()) {
      index.put(kind, image);
      return image;
    }
    String digest = files.digest();
    try (ImageIndex.Use _ = index.use(digest)) {
      if (!layers.has(digest)) {
        listener.progress("copying the recipe's files");
      }
      layers.prepare(digest, "files", tree -> files.copy(tree, digest));
      index.put(kind, image);
    }
    return image;
  }

  /**
   * The image of that digest, if it is there whole. Nothing is built anew. A directory that has
   * changed since is not that image any more. The host may change: what has come to it meanwhile
   * and would be hidden in a new image is hidden in this one too.
   */
  public Optional<RootImage> find(String digest) {
    return guarded(
        "image " + digest,
        () -> {
          Optional<RootImage> found = index.get(digest);
          if (found.isEmpty()) {
            return found;
          }
          RootImage image = found.get();
          return switch (index.kind(digest)) {
            case HOST -> Optional.of(hiddenToday(image));
            case DIRECTORY -> DirectoryImage.isUnchanged(image) ? found : Optional.empty();
            default -> found;
          };
        });
  }

  private RootImage hiddenToday(RootImage image) throws IOException {
    List<String> all = new ArrayList<>(hidden);
    all.addAll(image.hidden());
    return new RootImage(image.digest(), image.layers(), HostImage.hidden(all), image.writable());
  }

  /** All images, by digest. */
  public List<StoredImage> images() {
    return guarded("images", index::list);
  }

  /** Digests of all images and of all layers. */
  public Set<String> digests() {
    return guarded("images", index::allDigests);
  }

  /**
   * Removes an image, and its layers that no other image has. Whether anything still uses it is the
   * caller's knowledge.
   *
   * @return bytes freed; 0 when there is no such image
   */
  public long remove(String digest) {
    return guarded("removing image " + digest, () -> index.remove(digest));
  }

  @FunctionalInterface
  private interface Action<T> {
    T run() throws IOException;
  }

  private <T> T guarded(String doing, Action<T> action) {
    try {
      return action.run();
    } catch (IOException trouble) {
      throw DiskFailure.of(doing, imagesDir, trouble);
    }
  }
}
