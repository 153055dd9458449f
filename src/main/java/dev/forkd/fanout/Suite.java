package dev.forkd.fanout;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What is collected once: a project, pytest's arguments, and everything that collection may depend
 * on.
 *
 * @param root top of the project; absolute, no links
 * @param cwd where pytest starts; in the project
 * @param args pytest's arguments
 * @param interpreter the project's Python
 * @param env environment of collection and tests
 * @param allow hazards that the user accepts
 * @param terminal whether the user looks at a terminal
 * @param memoryMib of each sandbox at the most; 0 = no limit
 * @param shared session fixtures that are set up once, before the fork
 */
public record Suite(
    Path root,
    Path cwd,
    List<String> args,
    Interpreter interpreter,
    Map<String, String> env,
    List<String> allow,
    boolean terminal,
    int memoryMib,
    List<String> shared) {
  /** Changes when what a template holds changes its form. */
  private static final String FORM = "suite/2";

  private static final String OWN =
      """
      from forkd_runtime.beside import beside
      with beside():
          import forkd_pytest.controller, forkd_pytest.early
          import forkd_pytest.parent, forkd_pytest.worker
      """;

  private static final String LOAD = "forkd_pytest.early.load(NAMES)\n";

  /** In a fork of the template with the dependencies; as the interpreter starts elsewhere. */
  private static final String LATE =
      """
      import os, sys
      import forkd_pytest.parent
      sys.path[0] = os.getcwd()
      """;

  public Suite {
    args = List.copyOf(args);
    env = Map.copyOf(env);
    allow = List.copyOf(allow);
    shared = List.copyOf(shared);
  }

  /** Names this suite, whatever state its files are in. */
  String slot() {
    return named().hex().substring(0, 24);
  }

  /**
   * The tag of the template that holds this suite as its files are now.
   *
   * @param written files that earlier runs wrote themselves
   * @throws ForkdException INVALID when the project cannot be read
   */
  Tag tag(Set<String> written) {
    Digest digest = named().add(allow);
    digest.add(String.valueOf(terminal)).add(interpreter.path().toString());
    new TreeMap<>(env).forEach((name, value) -> digest.add(name).add(value));
    try {
      digest.addTree(root, written);
      for (Path place : interpreter.places()) {
        digest.addTop(place);
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.INVALID, "cannot read the project " + root + ": " + e)
          .thrown(e);
    }
    return new Tag("test-" + digest.hex().substring(0, 24));
  }

  private static Digest digest() {
    return new Digest().add(FORM);
  }

  private Digest named() {
    return digest().add(root.toString()).add(cwd.toString()).add(args).add(shared);
  }

  /** The request that makes the template. */
  ObjectNode creation(Tag tag) {
    return creation(tag, OWN + collect());
  }

  /** The request that makes a template of the project's dependencies, and nothing of its own. */
  ObjectNode dependencies(Tag tag, JsonNode modules) {
    return creation(tag, OWN + LOAD.replace("NAMES", Json.text(modules)));
  }

  /** Code that collects in a fork of that. */
  String late() {
    return LATE + collect();
  }

  /** The tag of a template with those dependencies. */
  Tag dependenciesTag(JsonNode modules) {
    Digest digest = digest().add(root.toString()).add(cwd.toString()).add(allow);
    digest.add(interpreter.path().toString()).add(Json.text(modules));
    new TreeMap<>(env).forEach((name, value) -> digest.add(name).add(value));
    return new Tag("deps-" + digest.hex().substring(0, 24));
  }

  private ObjectNode creation(Tag tag, String script) {
    ObjectNode recipe = Json.object().put("name", tag.text()).put("image", "host");
    ArrayNode files = recipe.putArray("files");
    copied(files, root);
    interpreter.places().forEach(place -> copied(files, place)); // also where it lies inside
    recipe
        .putObject("runtime")
        .put("language", "python")
        .put("interpreter", interpreter.path().toString());
    recipe.put("workdir", cwd.toString());
    ObjectNode variables = recipe.putObject("env");
    env.forEach(variables::put);
    ObjectNode warm = recipe.putObject("warm");
    warm.put("script", script).put("deadline", "1h");
    ArrayNode allowed = warm.putArray("allow");
    allow.forEach(allowed::add);
    recipe
        .putObject("limits")
        .put("pids", 8192)
        .put("disk", "8GiB")
        .put("tmp", "8GiB")
        .put("shm", "2GiB");
    return Json.object()
        .put("recipe", Json.text(recipe))
        .put("recipe_dir", root.toString())
        .put("tag", tag.text())
        .put("replace", true);
  }

  private static void copied(ArrayNode files, Path place) {
    files.addObject().put("from", place.toString()).put("to", place.toString()).put("tree", "true");
  }

  private String collect() {
    return "forkd_pytest.parent.collect(%s, %s, %s)\n"
        .formatted(list(args), terminal ? "True" : "False", list(shared));
  }

  /** As Python reads it, too. */
  private static String list(List<String> texts) {
    ArrayNode list = Json.array();
    texts.forEach(list::add);
    return Json.text(list);
  }
}
