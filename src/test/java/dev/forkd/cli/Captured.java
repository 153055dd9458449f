package dev.forkd.cli;

import dev.forkd.client.Endpoint;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** A console whose output is kept, and a wiring without a daemon behind it. */
final class Captured implements Wiring {
  final ByteArrayOutputStream out = new ByteArrayOutputStream();
  final ByteArrayOutputStream err = new ByteArrayOutputStream();
  final Map<String, String> env = new HashMap<>(Map.of("HOME", "/nonexistent"));
  final Signals signals = Signals.interrupting(Thread.currentThread());
  InputStream in = Console.NO_INPUT;
  Console.Terminal terminal = Console.Terminal.NONE;
  Path cwd = Path.of("/");
  Path home = Path.of("").toAbsolutePath();

  /** Commands talk to that daemon. */
  Captured at(Endpoint endpoint) {
    env.put("FORKD_URL", endpoint.toString());
    return this;
  }

  Captured input(String text) {
    in = new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
    return this;
  }

  int run(String... args) {
    return Cli.run(List.of(args), console(), this);
  }

  Console console() {
    return new Console(
        in,
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        env,
        cwd,
        terminal,
        Screen.NONE,
        signals);
  }

  String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @Override
  public String version() {
    return "9.9.9";
  }

  @Override
  public Path home() {
    return home;
  }

  @Override
  public Optional<Endpoint> daemon() {
    return Optional.empty();
  }

  @Override
  public Recipe recipe(String text, Path baseDir) {
    throw new ForkdException(FailureKind.INVALID, "not a recipe: " + text.strip());
  }

  @Override
  public void cleanup(Directories directories, Consumer<String> before, Consumer<String> after) {
    before.accept("directory of " + directories.state());
  }

  @Override
  public int serve(Config config, Console console) {
    console.out().println(config);
    return 0;
  }
}
