package dev.forkd.cli;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "serve",
    description = "Runs the daemon in the foreground until SIGTERM.",
    footer = {
      "",
      "Example:",
      "  sudo forkd serve --bind none",
      "  FORKD_BIND=127.0.0.1:9000 forkd serve"
    })
final class Serve implements Callable<Integer> {
  /** What a daemon of an ordinary user cannot do; told once, when it starts. */
  static final String ROOTLESS =
      "running without root: sandboxes have a loopback network only, a single user id, and limits"
          + " of memory and processes are held by rlimits, cpu not at all, unless this user's"
          + " control group is delegated;"
          + " virtual machines and images made by apt need root (docs/rootless.md)";

  private static final int MAX_SECONDS = 86_400;

  @Option(
      names = "--state-dir",
      paramLabel = "DIR",
      description = "Registry, images and logs; default /var/lib/forkd [FORKD_STATE_DIR].")
  private String stateDir = "";

  @Option(
      names = "--run-dir",
      paramLabel = "DIR",
      description = "Sockets; default /run/forkd, or run/ in a given state dir [FORKD_RUN_DIR].")
  private String runDir = "";

  @Option(
      names = "--bind",
      paramLabel = "HOST:PORT",
      description =
          "TCP address besides the unix socket, or none; default 127.0.0.1:8889 [FORKD_BIND].")
  private String bind = "";

  @Option(
      names = "--token-file",
      paramLabel = "FILE",
      description = "Bearer token that TCP clients must send [FORKD_TOKEN_FILE].")
  private String tokenFile = "";

  @Option(
      names = "--tls-cert",
      paramLabel = "FILE",
      description = "PEM certificate chain: TCP is HTTPS then [FORKD_TLS_CERT].")
  private String tlsCert = "";

  @Option(
      names = "--tls-key",
      paramLabel = "FILE",
      description = "PEM private key of that certificate [FORKD_TLS_KEY].")
  private String tlsKey = "";

  @Option(
      names = "--audit-log",
      paramLabel = "FILE",
      description = "A line for each request; default logs/audit.log, or none [FORKD_AUDIT_LOG].")
  private String auditLog = "";

  @Option(
      names = "--branch-concurrency",
      paramLabel = "N",
      description = "Branches that may be made at once; default 4 [FORKD_BRANCH_CONCURRENCY].")
  private String branchConcurrency = "";

  @Option(
      names = "--memory-budget",
      paramLabel = "MIB",
      description =
          "Memory of all sandboxes at their limits; a fork that does not fit is refused; default"
              + " 0, none [FORKD_MEMORY_BUDGET].")
  private String memoryBudget = "";

  @Option(
      names = "--sweep-interval",
      paramLabel = "SECONDS",
      description =
          "How often files that nothing needs are looked for; default 600; 0 = at the start only"
              + " [FORKD_SWEEP_INTERVAL].")
  private String sweepInterval = "";

  @Option(
      names = "--name-servers",
      paramLabel = "ADDRESS[:PORT],...",
      description =
          "Asked for the names in `allow` of a recipe; default those of the host"
              + " [FORKD_NAME_SERVERS].")
  private String nameServers = "";

  @Option(
      names = "--adopt-grace",
      paramLabel = "SECONDS",
      description =
          "Sandboxes of the process engine outlive a daemon that is killed for so long, and the"
              + " next one takes them over; default 0, they end with it [FORKD_ADOPT_GRACE].")
  private String adoptGrace = "";

  @Option(
      names = "--on-stop",
      paramLabel = "end|keep",
      description =
          "What SIGTERM does to them: end them, or leave them to the next daemon; default end"
              + " [FORKD_ON_STOP].")
  private String onStop = "";

  @Mixin private Cli.Help help = new Cli.Help();

  private final Session session;

  Serve(Session session) {
    this.session = session;
  }

  @Override
  public Integer call() {
    if (session.wiring().daemon().isPresent()) {
      throw new ForkdException(FailureKind.INVALID, "serve cannot run inside a daemon");
    }
    if (!Directories.isRoot()) {
      session.note(ROOTLESS);
    }
    Config config =
        new Config(
            Directories.of(session.console(), stateDir, runDir),
            or(bind, "FORKD_BIND", Config.DEFAULT_BIND),
            path(or(tokenFile, "FORKD_TOKEN_FILE", "")),
            path(or(tlsCert, "FORKD_TLS_CERT", "")),
            path(or(tlsKey, "FORKD_TLS_KEY", "")),
            auditLog(or(auditLog, "FORKD_AUDIT_LOG", "")),
            count("--branch-concurrency", or(branchConcurrency, "FORKD_BRANCH_CONCURRENCY", "4")),
            mebibytes(or(memoryBudget, "FORKD_MEMORY_BUDGET", "0")),
            seconds("--sweep-interval", or(sweepInterval, "FORKD_SWEEP_INTERVAL", "600")),
            or(nameServers, "FORKD_NAME_SERVERS", ""),
            seconds("--adopt-grace", or(adoptGrace, "FORKD_ADOPT_GRACE", "0")),
            keeps(or(onStop, "FORKD_ON_STOP", "end")));
    if (config.keepOnStop() && config.adoptGrace().isZero()) {
      throw new ForkdException(
          FailureKind.INVALID,
          "--on-stop keep leaves sandboxes to the next daemon, which needs --adopt-grace: for how"
              + " many seconds they may wait for it");
    }
    return session.wiring().serve(config, session.console());
  }

  private String auditLog(String text) {
    return text.equals("none") ? text : path(text);
  }

  private String path(String text) {
    return text.isEmpty() ? "" : session.console().path(text).toString();
  }

  private static int mebibytes(String text) {
    if (!text.matches("0|[1-9][0-9]{0,8}")) {
      throw new ForkdException(
          FailureKind.INVALID,
          "--memory-budget is \"" + text + "\"; give a number of MiB, or 0 for none");
    }
    return Integer.parseInt(text);
  }

  private static Duration seconds(String flag, String text) {
    if (!text.matches("0|[1-9][0-9]{0,4}") || Integer.parseInt(text) > MAX_SECONDS) {
      throw new ForkdException(
          FailureKind.INVALID,
          "%s is \"%s\"; give a number of seconds, 0 to %d".formatted(flag, text, MAX_SECONDS));
    }
    return Duration.ofSeconds(Integer.parseInt(text));
  }

  private static boolean keeps(String text) {
    if (!text.equals("end") && !text.equals("keep")) {
      throw new ForkdException(
          FailureKind.INVALID, "--on-stop is \"" + text + "\"; give end or keep");
    }
    return text.equals("keep");
  }

  private static int count(String option, String text) {
    if (!text.matches("[1-9][0-9]{0,3}")) {
      throw new ForkdException(
          FailureKind.INVALID, option + " is \"" + text + "\"; give a number from 1 to 9999");
    }
    return Integer.parseInt(text);
  }

  private String or(String flag, String variable, String fallback) {
    if (!flag.isEmpty()) {
      return flag;
    }
    String value = session.console().env(variable);
    return value.isEmpty() ? fallback : value;
  }
}
