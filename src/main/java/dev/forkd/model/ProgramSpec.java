package dev.forkd.model;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A program to run inside a sandbox.
 *
 * @param program what to run
 * @param env added to (and winning over) the recipe's environment
 * @param cwd absolute working directory; "" = the recipe's
 * @param user name, uid or uid:gid inside the sandbox; "" = root of the sandbox
 * @param stdin whether input will be sent; otherwise it reads /dev/null
 * @param terminal its input and outputs are one terminal of this size, its own; stderr comes as
 *     stdout
 * @param timeout after it the process group gets SIGTERM, then SIGKILL; zero = none
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType")
public record ProgramSpec(
    Program program,
    Map<String, String> env,
    String cwd,
    String user,
    boolean stdin,
    Optional<TerminalSize> terminal,
    Duration timeout) {
  private static final int MAX_PORT = 65_535;

  public ProgramSpec {
    env = Map.copyOf(env);
    if (timeout.isNegative()) {
      throw new ForkdException(FailureKind.INVALID, "timeout must not be negative");
    }
  }

  /** A program without a terminal. */
  public ProgramSpec(
      Program program,
      Map<String, String> env,
      String cwd,
      String user,
      boolean stdin,
      Duration timeout) {
    this(program, env, cwd, user, stdin, Optional.empty(), timeout);
  }

  /** A program with the defaults of everything else. */
  public static ProgramSpec of(Program program, Duration timeout) {
    return new ProgramSpec(program, Map.of(), "", "", false, timeout);
  }

  /** The same with another timeout. */
  public ProgramSpec lasting(Duration other) {
    return new ProgramSpec(program, env, cwd, user, stdin, terminal, other);
  }

  /** What to run. */
  public sealed interface Program {
    /** Whether it is a fork of the warm runtime. */
    default boolean isCall() {
      return true;
    }

    /** A new process: {@code args[0]} is looked up in PATH. */
    record Exec(List<String> args) implements Program {
      public Exec {
        args = List.copyOf(args);
        if (args.isEmpty()) {
          throw new ForkdException(FailureKind.INVALID, "args must contain at least one element");
        }
      }

      @Override
      public boolean isCall() {
        return false;
      }
    }

    /**
     * A connection to a port on the sandbox's loopback: its input is sent there, and what comes
     * back is its output. It has started when it is connected, and ends when the other side does.
     */
    record Connect(int port) implements Program {
      public Connect {
        if (port < 1 || port > MAX_PORT) {
          throw new ForkdException(FailureKind.INVALID, "a port is 1 to " + MAX_PORT);
        }
      }

      @Override
      public boolean isCall() {
        return false;
      }
    }

    /** A fork of the warm runtime that runs a module as {@code python -m} does. */
    record CallModule(String module, List<String> args) implements Program {
      public CallModule {
        args = List.copyOf(args);
      }
    }

    /** A fork of the warm runtime that runs a script file. */
    record CallFile(String path, List<String> args) implements Program {
      public CallFile {
        args = List.copyOf(args);
      }
    }

    /** A fork of the warm runtime that runs source text as {@code python -c} does. */
    record CallCode(String code, List<String> args) implements Program {
      public CallCode {
        args = List.copyOf(args);
      }
    }
  }
}
