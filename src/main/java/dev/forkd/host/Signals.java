package dev.forkd.host;

/** Names of Linux signals (signal(7); the numbers are the same on x86-64 and arm64). */
public final class Signals {
  public static final int INT = 2;
  public static final int KILL = 9;
  public static final int TERM = 15;

  private static final String[] NAMES = {
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
    "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"
  };

  private Signals() {}

  /** {@code SIGKILL} for 9; {@code signal 40} for a number without a name. */
  public static String name(int number) {
    return number > 0 && number < NAMES.length ? "SIG" + NAMES[number] : "signal " + number;
  }
}
