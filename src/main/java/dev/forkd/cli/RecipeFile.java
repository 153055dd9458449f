package dev.forkd.cli;

import dev.forkd.model.Recipe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(name = "recipe", description = "Looks at recipe files.", synopsisSubcommandLabel = "check")
final class RecipeFile {
  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  RecipeFile(Session session) {
    this.session = session;
  }

  @Command(
      name = "check",
      description = "Checks a recipe file and says what it would make; runs nothing.",
      footer = {"", "Example:", "  forkd recipe check recipes/python-numpy"})
  int check(
      @Parameters(paramLabel = "RECIPE", description = "A recipe file or its directory.")
          String name,
      @Mixin Cli.Help own)
      throws IOException {
    Path file = Snapshot.locate(session, name);
    Recipe recipe =
        session.wiring().recipe(Files.readString(file), file.resolveSibling("").normalize());
    String runtime = recipe.runtime().map(r -> r.language() + " " + r.interpreter()).orElse("none");
    session.say("recipe:   " + recipe.name());
    session.say("engine:   " + recipe.engine().map(e -> e.word()).orElse("auto"));
    session.say("image:    " + image(recipe.image()));
    session.say("packages: " + String.join(" ", recipe.image().packages()));
    session.say("files:    " + recipe.files().size());
    session.say("runtime:  " + runtime);
    session.say("imports:  " + String.join(" ", recipe.warm().imports()));
    session.say("workdir:  " + recipe.workdir());
    session.note("✓ " + file + " is a recipe");
    return 0;
  }

  private static String image(Recipe.Image image) {
    return switch (image) {
      case Recipe.Image.Host host ->
          "host (" + host.hide().size() + " paths hidden besides the usual)";
      case Recipe.Image.Apt apt ->
          "apt " + (apt.suite().isEmpty() ? "(host's suite)" : apt.suite());
      case Recipe.Image.Directory dir -> "dir " + dir.path();
    };
  }
}
