package dev.forkd.service;

import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Which commands may run in a fork of the warm runtime instead of a new interpreter: those that the
 * interpreter would run the same way. A pure function of the command and the runtime's interpreter.
 */
public final class WarmExec {
  /** They replace, debug or restart the interpreter itself. */
  private static final Set<String> EXCLUDED = Set.of("pip", "venv", "ensurepip", "pdb");

  /**
   * Variables that the loader, the C library, a numeric library or the interpreter reads once, at
   * its own start, or (PATH) that decide which interpreter is meant.
   */
  private static final Pattern START_UP_VARIABLE =
      Pattern.compile(
          "PYTHON.*|LD_.*|(OMP|KMP|GOMP|OPENBLAS|GOTO|MKL|NUMEXPR|BLIS|VECLIB)_.*|MALLOC_.*"
              + "|GLIBC_TUNABLES|LANG|LANGUAGE|LC_.*|PATH");

  private WarmExec() {}

  /** What a command is in a fork of the runtime, or why it is not the same there. */
  public sealed interface Choice {
    /** Run this in a fork of the runtime. */
    record Warm(Program program) implements Choice {}

    /** Only a new process does it; one clause for people. */
    record Cold(String why) implements Choice {}
  }

  /**
   * Decides for a command.
   *
   * @param spec its program is an {@code Exec}, or already a call
   * @param interpreter absolute path of the runtime's interpreter inside the sandbox
   */
  public static Choice choose(ProgramSpec spec, String interpreter) {
    return switch (spec.program()) {
      case Program.CallModule call -> new Choice.Warm(call);
      case Program.CallFile call -> new Choice.Warm(call);
      case Program.CallCode call -> new Choice.Warm(call);
      case Program.Connect _ -> new Choice.Cold("it is a connection");
      case Program.Exec exec -> choose(spec, exec.args(), interpreter);
    };
  }

  private static Choice choose(ProgramSpec spec, List<String> args, String interpreter) {
    String command = args.getFirst();
    if (!command.equals("python3") && !command.equals("python") && !command.equals(interpreter)) {
      return new Choice.Cold("the command is not the runtime's interpreter " + interpreter);
    }
    Optional<String> variable =
        spec.env().keySet().stream()
            .filter(name -> START_UP_VARIABLE.matcher(name).matches())
            .sorted()
            .findFirst();
    if (variable.isPresent()) {
      return new Choice.Cold(variable.get() + " is read when an interpreter starts");
    }
    if (spec.terminal().isPresent()) {
      return new Choice.Cold("it runs at a terminal of its own");
    }
    if (!spec.user().isEmpty()) {
      return new Choice.Cold("it runs as another user than the runtime");
    }
    return arguments(args.subList(1, args.size()));
  }

  private static Choice arguments(List<String> args) {
    if (args.isEmpty()) {
      return new Choice.Cold("an interpreter without arguments reads its program from stdin");
    }
    String first = args.getFirst();
    if (first.equals("-m") && args.size() > 1) {
      return module(args.get(1), args.subList(2, args.size()));
    }
    if (first.equals("-c") && args.size() > 1) {
      return new Choice.Warm(new Program.CallCode(args.get(1), args.subList(2, args.size())));
    }
    if (first.startsWith("-") || !first.endsWith(".py")) {
      return new Choice.Cold("only -m MODULE, -c CODE and SCRIPT.py can be run warm");
    }
    return new Choice.Warm(new Program.CallFile(first, args.subList(1, args.size())));
  }

  private static Choice module(String module, List<String> args) {
    int dot = module.indexOf('.');
    String top = dot < 0 ? module : module.substring(0, dot);
    return EXCLUDED.contains(top)
        ? new Choice.Cold("module " + top + " works on the interpreter itself")
        : new Choice.Warm(new Program.CallModule(module, args));
  }
}
