package dev.forkd.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Stack;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Where the words of a program begin, the command's own options end: {@code forkd exec ID ls -la}.
 * The parser hands its words over as a {@link Stack}.
 */
@SuppressWarnings("JdkObsolete")
final class ProgramWords {
  private static final String END_OF_OPTIONS = "--";

  private ProgramWords() {}

  /** From the first word of the program on, all of them. */
  static final class Rest implements IParameterConsumer {
    @Override
    public void consumeParameters(Stack<String> words, ArgSpec argument, CommandSpec command) {
      List<String> all = new ArrayList<>();
      while (!words.isEmpty()) {
        all.add(words.pop());
      }
      argument.setValue(all);
    }
  }

  /**
   * What {@code -m} or {@code -c} name is the program, and the words behind it are its own, as with
   * python; unless the sandbox is still to come, or a {@code --} tells where they begin.
   */
  static final class Program implements IParameterConsumer {
    @Override
    public void consumeParameters(Stack<String> words, ArgSpec argument, CommandSpec command) {
      if (words.isEmpty()) {
        throw new picocli.CommandLine.MissingParameterException(
            command.commandLine(), argument, "option needs a value: " + argument.paramLabel());
      }
      argument.setValue(words.pop());
      boolean named = !"".equals(command.positionalParameters().getFirst().getValue());
      if (named && !words.contains(END_OF_OPTIONS)) {
        words.push(END_OF_OPTIONS);
      }
    }
  }
}
