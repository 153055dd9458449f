package dev.forkd.model;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Declarative description of a warmed sandbox: image, warm-up, runtime, limits. Made from a recipe
 * file by {@code image.RecipeParser}; see docs/recipes.md for every key.
 *
 * @param name what the recipe calls itself; the default tag
 * @param engine the engine asked for; empty = choose
 * @param image where the root file system comes from
 * @param files what is copied into it
 * @param runtime the warm interpreter; empty = none, only exec works
 * @param warm what is done before the snapshot
 * @param workdir absolute working directory of exec, call and eval
 * @param env environment of everything in the sandbox
 * @param limits for each sandbox
 * @param syscalls that are not refused to it
 * @param network of each sandbox
 * @param pool how many children are kept forked ahead
 * @param source the recipe's text as it was given, for the registry
 * @param baseDir directory that relative host paths in the recipe start from
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record Recipe(
    String name,
    Optional<EngineName> engine,
    Image image,
    List<CopiedFile> files,
    Optional<RuntimeSpec> runtime,
    WarmUp warm,
    String workdir,
    Map<String, String> env,
    Limits limits,
    SystemCalls syscalls,
    NetworkPolicy network,
    int pool,
    String source,
    Path baseDir) {
  /** Children forked ahead at the most. */
  public static final int MAX_POOL = 1000;

  public Recipe {
    files = List.copyOf(files);
    env = Map.copyOf(env);
    if (pool < 0 || pool > MAX_POOL) {
      throw new ForkdException(
          FailureKind.INVALID, "recipe " + name + ": pool is " + pool + ", not 0.." + MAX_POOL);
    }
  }

  /** This recipe with its packages in a root of their own where it names the machine's. */
  public Recipe withoutHostRoot() {
    if (!(image instanceof Image.Host host)) {
      return this;
    }
    List<String> packages = new ArrayList<>(host.packages());
    runtime.ifPresent(spec -> packages.add(spec.language() + "3"));
    Image own = new Image.Apt("", "", packages.stream().distinct().toList());
    return new Recipe(
        name, engine, own, files, runtime, warm, workdir, env, limits, syscalls, network, pool,
        source, baseDir);
  }

  /** Where the root file system comes from. */
  public sealed interface Image {
    /** Debian packages that must be in it. */
    List<String> packages();

    /** The machine's own root, read-only; {@code hide} adds to what is hidden anyway. */
    record Host(List<String> packages, List<String> hide) implements Image {
      public Host {
        packages = List.copyOf(packages);
        hide = List.copyOf(hide);
      }
    }

    /**
     * Debian packages in a root of their own.
     *
     * @param suite release name; "" = the host's
     * @param mirror package source; "" = the host's
     */
    record Apt(String suite, String mirror, List<String> packages) implements Image {
      public Apt {
        packages = List.copyOf(packages);
      }
    }

    /** A directory that somebody else made. */
    record Directory(Path path) implements Image {
      @Override
      public List<String> packages() {
        return List.of();
      }
    }
  }

  /**
   * A file or directory of the host and where it goes.
   *
   * @param workingTree a tree that somebody works in: caches of Python come along, version control
   *     and foreign environments do not, and it may go to a place that an image of the host hides
   */
  public record CopiedFile(Path from, String to, boolean workingTree) {}

  /**
   * The warm interpreter.
   *
   * @param language "python"
   * @param interpreter absolute path inside the image
   */
  public record RuntimeSpec(String language, String interpreter) {}

  /**
   * What is done once, before the snapshot.
   *
   * @param imports modules, in order
   * @param script source text run after the imports; "" = none
   * @param functions {@code module:function} names called last
   * @param path directories added to the module search path
   * @param seed fixed random seed of every child; empty = fresh randomness
   * @param allow hazards (see docs/fork-hazards.md) that the author accepts
   * @param deadline how long all of it may take
   * @param hooks what of the author's runs around the fork
   * @param exec whether programs in a sandbox that start the interpreter get a fork of the warm one
   */
  public record WarmUp(
      List<String> imports,
      String script,
      List<String> functions,
      List<String> path,
      Optional<Long> seed,
      List<String> allow,
      Duration deadline,
      Hooks hooks,
      boolean exec) {
    public WarmUp {
      imports = List.copyOf(imports);
      functions = List.copyOf(functions);
      path = List.copyOf(path);
      allow = List.copyOf(allow);
    }

    /** With warm exec, as a recipe that says nothing about it. */
    public WarmUp(
        List<String> imports,
        String script,
        List<String> functions,
        List<String> path,
        Optional<Long> seed,
        List<String> allow,
        Duration deadline,
        Hooks hooks) {
      this(imports, script, functions, path, seed, allow, deadline, hooks, true);
    }
  }

  /**
   * Source texts of the author that run around the fork; "" = none. Decorated functions of the
   * warm-up script come on top of them.
   *
   * @param beforeSnapshot at the end of the warm-up, before anything is checked
   * @param afterFork once in every child, before it is handed out
   * @param deadline for all hooks of one kind together
   */
  public record Hooks(String beforeSnapshot, String afterFork, Duration deadline) {
    /** Nothing to run, and what functions of the script may take. */
    public static final Hooks NONE = new Hooks("", "", Duration.ofSeconds(5));
  }
}
