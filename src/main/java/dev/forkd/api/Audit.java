package dev.forkd.api;

/** Where requests that were answered are written down. */
interface Audit extends AutoCloseable {
  /** Writes one down; never throws. */
  void write(AuditLog.Line line);

  @Override
  void close();

  /** Nowhere. */
  Audit NONE =
      new Audit() {
        @Override
        public void write(AuditLog.Line line) {
          // Nobody asked for a log.
        }

        @Override
        public void close() {
          // Nothing is open.
        }
      };
}
