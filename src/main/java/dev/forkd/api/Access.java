package dev.forkd.api;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Who may ask over TCP, what is written of it, and the files that decide both. */
final class Access implements AutoCloseable {
  private static final long AUDIT_BYTES = 64 << 20;

  private final Gate gate;
  private final Audit audit;
  private final List<FileWatch> watches = new ArrayList<>();

  private Access(Gate gate, Audit audit) {
    this.gate = gate;
    this.audit = audit;
  }

  /**
   * Reads the tokens and opens the audit log.
   *
   * @throws dev.forkd.model.ForkdException INVALID when one of them cannot be used
   */
  static Access of(ApiConfig config) {
    Optional<Tokens> tokens =
        config.tcp() && !config.tokenFile().isEmpty()
            ? Optional.of(Tokens.read(Path.of(config.tokenFile())))
            : Optional.empty();
    Audit audit =
        config.auditLog().isEmpty()
            ? Audit.NONE
            : new AuditLog(Path.of(config.auditLog()), AUDIT_BYTES);
    Access access = new Access(tokens.map(Gate::of).orElseGet(Gate::loopback), audit);
    tokens.ifPresent(read -> access.watch(List.of(Path.of(config.tokenFile())), read::reload));
    return access;
  }

  /** Who may come in over TCP. */
  Gate gate() {
    return gate;
  }

  /** Where requests are written down. */
  Audit audit() {
    return audit;
  }

  /** Does something whenever one of these files has changed. */
  void watch(List<Path> files, Runnable changed) {
    watches.add(new FileWatch(files, changed));
  }

  @Override
  public void close() {
    watches.forEach(FileWatch::close);
    audit.close();
  }
}
