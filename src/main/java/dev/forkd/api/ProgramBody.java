package dev.forkd.api;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.model.TerminalSize;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/** The body of exec and call. */
final class ProgramBody {
  private static final int MAX_SIGNAL = 64;
  private static final double DEFAULT_TIMEOUT_SECS = 30;
  private static final double MAX_TIMEOUT_SECS = 86_400;
  private static final Duration LONGEST = Duration.ofDays(1);

  private final Body body;
  private final Program program;
  private final Request.WarmUse warm;

  private ProgramBody(Body body, Program program, Request.WarmUse warm) {
    this.body = body;
    this.program = program;
    this.warm = warm;
  }

  /** The body of exec: {@code args} and {@code warm}. */
  static ProgramBody exec(Body body) {
    return new ProgramBody(body, new Program.Exec(body.arguments("args")), warmUse(body));
  }

  /** The body of call: exactly one of module, file and code, and {@code args}. */
  static ProgramBody call(Body body) {
    List<String> args = body.arguments("args");
    List<Program> named =
        List.of(
                body.argument("module")
                    .map(module -> (Program) new Program.CallModule(module, args)),
                body.argument("file").map(file -> (Program) new Program.CallFile(file, args)),
                body.argument("code").map(code -> (Program) new Program.CallCode(code, args)))
            .stream()
            .flatMap(Optional::stream)
            .toList();
    if (named.size() != 1) {
      throw Body.invalid("give exactly one of `module`, `file` and `code`");
    }
    return new ProgramBody(body, named.getFirst(), Request.WarmUse.REQUIRED);
  }

  private static Request.WarmUse warmUse(Body body) {
    if (body.isFlag("warm")) {
      return body.flag("warm", false) ? Request.WarmUse.REQUIRED : Request.WarmUse.NEVER;
    }
    String word = body.text("warm").orElse("auto");
    if (!word.equals("auto")) {
      throw Body.invalid("field `warm` must be \"auto\", true or false");
    }
    return Request.WarmUse.AUTO;
  }

  /** How long it may take: {@code timeout_secs}, 1 to 86400, 30 when it is not given. */
  static Duration timeout(Body body) {
    double seconds = body.number("timeout_secs", DEFAULT_TIMEOUT_SECS, 1, MAX_TIMEOUT_SECS);
    return Duration.ofMillis(Math.round(seconds * 1e3));
  }

  /** Whether events are wanted instead of one reply. */
  boolean stream() {
    return body.flag("stream", false);
  }

  /** Whether it is to go on without its client. */
  boolean detach() {
    if (body.flag("detach", false) && stream()) {
      throw Body.invalid("give one of `detach` and `stream`");
    }
    return body.flag("detach", false);
  }

  /** The request of a program that goes on; it may run for as long as any, unless told. */
  Request.Detach detached(SandboxId id) {
    Request.Run run = streamed(id);
    ProgramSpec spec = run.program();
    Duration timeout = body.has("timeout_secs") ? spec.timeout() : LONGEST;
    return new Request.Detach(id, spec.lasting(timeout), warm);
  }

  /** The request of a streamed program; input comes by a route of its own. */
  Request.Run streamed(SandboxId id) {
    if (body.has("stdin_b64") || (body.has("stdin") && !body.isFlag("stdin"))) {
      throw Body.invalid(
          "with `stream` or `detach`, `stdin` must be true or false: input is posted to"
              + " /v1/sandboxes/{id}/programs/{program}/stdin");
    }
    if (body.has("pty") && program instanceof Program.Exec) {
      return new Request.Run(id, spec(true), warm);
    }
    return new Request.Run(id, spec(body.flag("stdin", false)), warm);
  }

  /** The request of a program that is answered at once, with its input. */
  Request.RunToEnd toEnd(SandboxId id) {
    Optional<byte[]> input = input();
    return new Request.RunToEnd(
        id, spec(input.isPresent()), warm, input.orElseGet(() -> new byte[0]));
  }

  private Optional<byte[]> input() {
    if (body.has("stdin") && body.has("stdin_b64")) {
      throw Body.invalid("give one of `stdin` and `stdin_b64`");
    }
    if (body.isFlag("stdin") && !body.flag("stdin", false)) {
      return Optional.empty();
    }
    return body.text("stdin")
        .map(text -> text.getBytes(StandardCharsets.UTF_8))
        .or(() -> body.text("stdin_b64").map(ProgramBody::decoded));
  }

  private static byte[] decoded(String base64) {
    try {
      return Base64.getDecoder().decode(base64);
    } catch (IllegalArgumentException e) {
      throw new Failure(FailureKind.INVALID, "field `stdin_b64` is not base64").thrown(e);
    }
  }

  private Optional<TerminalSize> terminal() {
    if (!body.has("pty")) {
      return Optional.empty();
    }
    if (!(stream() || detach()) || !(program instanceof Program.Exec)) {
      throw Body.invalid("`pty` is for exec with `stream` or `detach`");
    }
    return Optional.of(terminalSize(body.object("pty")));
  }

  /** {@code signal}: its number, 1 to 64. */
  static int signal(Body body) {
    long number = body.whole("signal").orElse(0);
    if (number < 1 || number > MAX_SIGNAL) {
      throw Body.invalid("field `signal` must be 1 to " + MAX_SIGNAL);
    }
    return (int) number;
  }

  /** {@code rows} and {@code columns}; 24 and 80 when they are not given. */
  static TerminalSize terminalSize(Body body) {
    TerminalSize usual = TerminalSize.USUAL;
    return new TerminalSize(
        (int) body.number("rows", usual.rows(), 1, Integer.MAX_VALUE),
        (int) body.number("columns", usual.columns(), 1, Integer.MAX_VALUE));
  }

  private ProgramSpec spec(boolean stdin) {
    String cwd = body.argument("cwd").orElse("");
    if (!cwd.isEmpty() && !cwd.startsWith("/")) {
      throw Body.invalid("field `cwd` must be an absolute path");
    }
    return new ProgramSpec(
        program,
        body.variables("env"),
        cwd,
        body.argument("user").orElse(""),
        stdin,
        terminal(),
        timeout(body));
  }
}
