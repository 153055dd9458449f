package dev.forkd.frame;

/**
 * Types of frames, as the tables of docs/agent-protocol.md and docs/process-engine.md name them.
 */
public final class FrameType {
  // Agent channel, host to agent. The relay of the command line borrows EXEC, INPUT, WINDOW,
  // SIGNAL.
  public static final int HELLO = 0x01;
  public static final int PING = 0x02;
  public static final int PING_RUNTIME = 0x03;
  public static final int EXEC = 0x04;
  public static final int CALL = 0x05;
  public static final int EVAL = 0x06;
  public static final int READ_FILE = 0x07;
  public static final int WRITE_FILE = 0x08;
  public static final int IDENTITY = 0x09;
  public static final int STAT = 0x0A;
  public static final int LIST = 0x0B;
  public static final int MAKE_DIRECTORY = 0x0C;
  public static final int REMOVE = 0x0D;
  public static final int LINK = 0x0E;
  public static final int BRANCH = 0x0F;
  public static final int INPUT = 0x10;
  public static final int WINDOW = 0x11;
  public static final int SIGNAL = 0x12;
  public static final int CANCEL = 0x13;
  public static final int RESIZE = 0x14;

  // Agent channel, agent to host.
  public static final int WELCOME = 0x81;
  public static final int PONG = 0x82;
  public static final int STARTED = 0x83;
  public static final int OUTPUT = 0x84;
  public static final int EXITED = 0x85;
  public static final int RESULT = 0x86;
  public static final int DONE = 0x87;
  public static final int WINDOW_STDIN = 0x88;
  // Only of the relay: the caller's terminal is to hand every key on.
  public static final int TERMINAL = 0x89;
  public static final int RUNTIME_ENDED = 0x90;
  public static final int ERROR = 0xFF;

  // Launcher channel, daemon to launcher.
  public static final int L_HELLO = 0x20;
  public static final int L_TEMPLATE = 0x21;
  public static final int L_DISCARD = 0x22;
  public static final int L_FORK = 0x23;
  public static final int L_DESTROY = 0x24;
  public static final int L_LIMIT = 0x25;
  public static final int L_USAGE = 0x26;
  public static final int L_BRANCH = 0x27;
  public static final int L_ADOPT = 0x28;
  public static final int L_STOP = 0x29;

  // Launcher channel, launcher to daemon.
  public static final int L_WELCOME = 0xA0;
  public static final int LOG = 0xA1;
  public static final int TEMPLATE_READY = 0xA2;
  public static final int FORKED = 0xA3;
  public static final int DESTROYED = 0xA4;
  public static final int SANDBOX_ENDED = 0xA5;
  public static final int RUNTIME_LOST = 0xA6;
  public static final int TEMPLATE_ENDED = 0xA7;

  private FrameType() {}

  /** The type as messages show it. */
  public static String text(int type) {
    return "frame 0x%02x".formatted(type);
  }
}
