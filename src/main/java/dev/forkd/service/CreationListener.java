package dev.forkd.service;

/** Hears of the making of a snapshot, in order, on whatever thread does the work. */
public interface CreationListener {
  /** What is being done. */
  enum Phase {
    /** The root file system is made. */
    IMAGE,
    /** The runtime is started and warmed. */
    WARM;

    /** The word on the wire. */
    public String word() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /** A step begins; one line for people. */
  void progress(Phase phase, String message);

  /** A line that a tool or the warm-up wrote. */
  void log(String line);

  /** Hears nothing. */
  CreationListener SILENT =
      new CreationListener() {
        @Override
        public void progress(Phase phase, String message) {}

        @Override
        public void log(String line) {}
      };
}
