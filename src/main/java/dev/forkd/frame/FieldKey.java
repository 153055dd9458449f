package dev.forkd.frame;

/** Keys of fields. A key means the same on every channel; see docs/agent-protocol.md. */
public final class FieldKey {
  public static final int VERSION = 1;
  public static final int ARGV = 2;
  public static final int ENV = 3;
  public static final int CWD = 4;
  public static final int USER = 5;
  public static final int STDIN = 6;
  public static final int TIMEOUT_MS = 7;
  public static final int GRACE_MS = 8;
  public static final int WINDOW = 9;
  public static final int STREAM = 10;
  public static final int DATA = 11;
  public static final int EOF = 12;
  public static final int BYTES = 13;
  public static final int PID = 14;
  public static final int EXIT_CODE = 15;
  public static final int SIGNAL = 16;
  public static final int TIMED_OUT = 17;
  public static final int DURATION_US = 18;
  public static final int PATH = 19;
  public static final int MODE = 20;
  public static final int OFFSET = 21;
  public static final int MAKE_PARENTS = 22;
  public static final int CODE = 23;
  public static final int TARGET = 24;
  public static final int KIND = 25;
  public static final int RESULT = 26;
  public static final int STDOUT = 27;
  public static final int STDERR = 28;
  public static final int ERROR = 29;
  public static final int TRACEBACK = 30;
  public static final int TRUNCATED = 31;
  public static final int MESSAGE = 32;
  public static final int ERRNO = 33;
  public static final int RUNTIME = 34;
  public static final int REPORT = 35;
  public static final int NAME = 36;
  public static final int RESTARTED = 37;
  public static final int FDS = 38;
  public static final int MAX_OUTPUT = 39;
  public static final int TIME_NS = 40;
  public static final int ROWS = 41;
  public static final int COLUMNS = 42;

  public static final int RUN_DIR = 64;
  public static final int INSTANCE = 65;
  public static final int LAYER = 66;
  public static final int IDMAP = 67;
  public static final int COPY = 68;
  public static final int HIDDEN = 69;
  public static final int WRITABLE = 70;
  public static final int UID_BASE = 71;
  public static final int MEMORY_BYTES = 72;
  public static final int PIDS_MAX = 73;
  public static final int CPU_MILLIS = 74;
  public static final int DISK_BYTES = 75;
  public static final int TMP_BYTES = 76;
  public static final int SHM_BYTES = 77;
  public static final int TEMPLATE = 78;
  public static final int CHILD = 79;
  public static final int MACHINE_ID = 80;
  public static final int OUTCOME = 81;
  public static final int RUNTIME_PID = 82;
  public static final int OOM_KILLS = 83;
  public static final int RUNTIME_DIR = 84;
  public static final int HOSTNAME = 85;
  public static final int NETWORK = 86;
  public static final int FRONT = 90;
  public static final int DELTA = 92;
  public static final int RESIDENT_BYTES = 93;
  public static final int OPEN_FILES = 95;
  public static final int BUILD = 96;
  public static final int SYSCALLS = 97;

  private FieldKey() {}
}
