package dev.forkd.cli;

import dev.forkd.model.FailureKind;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "cleanup",
    description = {
      "Removes what a daemon that was killed has left, and says what it was.",
      "A daemon does the same when it starts; this is for when none shall start."
    },
    footer = {"", "Example:", "  sudo forkd cleanup"})
final class Cleanup implements Callable<Integer> {
  @SuppressWarnings("UnusedVariable")
  @Option(
      names = {"-y", "--yes"},
      description = "For scripts that give it; nothing is asked anyway.")
  private boolean yes;

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  Cleanup(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() {
    Directories directories = session.directories();
    List<String> before = new ArrayList<>();
    List<String> after = new ArrayList<>();
    session.wiring().cleanup(directories, before::add, after::add);
    TreeSet<String> stays = new TreeSet<>(after);
    before.stream().filter(trace -> !stays.contains(trace)).forEach(t -> session.say("  ✓ " + t));
    stays.forEach(trace -> session.say("  ✗ " + trace + "  (still in use)"));
    if (before.isEmpty()) {
      session.say("nothing was left at " + directories.state());
    }
    return stays.isEmpty() ? 0 : FailureKind.ENGINE.exitCode();
  }
}
