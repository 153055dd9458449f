package dev.forkd.cli;

import dev.forkd.client.ProgramStream;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;

/** A program in a sandbox whose streams, terminal and signals are those of a command. */
final class Attached {
  private final Console console;
  private final Keyboard keyboard;
  private final ProgramStream stream;

  Attached(Console console, Keyboard keyboard, ProgramStream stream) {
    this.console = console;
    this.keyboard = keyboard;
    this.stream = stream;
  }

  /**
   * Carries bytes and signals until the program has ended.
   *
   * @param input whether it is given the command's standard input
   * @param terminal whether it runs at a terminal of its own
   * @param limit how long it may take
   */
  ExitStatus follow(boolean input, boolean terminal, Duration limit) throws IOException {
    try (var _ = console.signals().handle(stream::signal);
        var _ = terminal ? raw() : (Screen.Raw) () -> {};
        var _ = input ? keyboard.connect(stream) : (Keyboard.Connection) () -> {}) {
      return watch(limit);
    }
  }

  private Screen.Raw raw() {
    return console.screen().raw(size -> Thread.startVirtualThread(() -> resize(size)));
  }

  private void resize(TerminalSize size) {
    try {
      stream.resize(size);
    } catch (ForkdException e) {
      // It has ended by now: the thread that reads its events tells how.
      Thread.currentThread().interrupt();
    }
  }

  /** Shows what the program writes until it has ended, and nothing more. */
  ExitStatus watch(Duration limit) throws IOException {
    while (true) {
      switch (stream.next(limit.plusSeconds(30))) {
        case ProgramEvent.Output output -> write(output);
        case ProgramEvent.Exited exited -> {
          return exited.status();
        }
      }
    }
  }

  private void write(ProgramEvent.Output output) throws IOException {
    PrintStream to = output.stream() == 1 ? console.out() : console.err();
    to.write(output.bytes());
    to.flush();
    if (to.checkError()) {
      throw new ForkdException(
          FailureKind.UNAVAILABLE, "nobody reads the program's output any more; it is ended");
    }
  }
}
