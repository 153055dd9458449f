package dev.forkd.cli;

import java.time.Duration;

/**
 * Configuration of a daemon: defaults, overridden by FORKD_* variables, overridden by flags. The
 * flags of {@link Serve} are the list of all there is. Empty text stands for absence; values are
 * checked by who uses them, at the start.
 *
 * @param directories where its things are
 * @param bind TCP address to listen on besides the unix socket, or "none"
 * @param tokenFile file with the bearer token that TCP clients must send
 * @param tlsCert PEM certificate chain; TCP is HTTPS then
 * @param tlsKey PEM private key
 * @param auditLog file with a line for each request; "" = in the state directory, "none" = no log
 * @param branchConcurrency branches that may be made at once
 * @param memoryBudgetMib of all sandboxes together, in MiB; 0 = none
 * @param sweepInterval between two looks for what nobody needs on the disk; zero = at the start
 *     only
 * @param nameServers asked for names that sandboxes may reach, ADDRESS[:PORT],…; "" = the host's
 * @param adoptGrace how long sandboxes of the process engine live on without a daemon; zero = not
 * @param keepOnStop leave them to the next daemon on SIGTERM, too
 */
public record Config(
    Directories directories,
    String bind,
    String tokenFile,
    String tlsCert,
    String tlsKey,
    String auditLog,
    int branchConcurrency,
    int memoryBudgetMib,
    Duration sweepInterval,
    String nameServers,
    Duration adoptGrace,
    boolean keepOnStop) {
  /** Where a daemon listens that nobody told otherwise. */
  static final String DEFAULT_BIND = "127.0.0.1:8889";

  /** Of a service that nobody is to reach. */
  public static Config quiet(Directories directories) {
    Duration none = Duration.ZERO;
    return new Config(directories, "none", "", "", "", "none", 1, 0, none, "", none, false);
  }
}
