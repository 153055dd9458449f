package dev.forkd.frame;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;

/** Reads the fields of an ERROR frame: kind, message, traceback. */
public final class ErrorFrame {
  private static final int MESSAGE_MAX = 4_096;
  private static final int DETAIL_MAX = 65_536;

  private ErrorFrame() {}

  /**
   * The failure that an ERROR tells.
   *
   * @param about what it is about; starts the message
   */
  public static Failure failure(String about, Fields error) {
    String message = oneLine(error.text(FieldKey.MESSAGE));
    return new Failure(
        kind(error.text(FieldKey.KIND)),
        about + ": " + (message.isEmpty() ? "failed without a reason" : message),
        tail(error.text(FieldKey.TRACEBACK)));
  }

  /** The kind of a word of the protocol. A peer cannot claim a defect of forkd. */
  public static FailureKind kind(String word) {
    return switch (word) {
      case "invalid" -> FailureKind.INVALID;
      case "unsupported" -> FailureKind.UNSUPPORTED;
      case "not_found" -> FailureKind.NOT_FOUND;
      case "denied", "exists" -> FailureKind.CONFLICT;
      case "exhausted" -> FailureKind.EXHAUSTED;
      case "timeout" -> FailureKind.TIMEOUT;
      default -> FailureKind.ENGINE;
    };
  }

  /** A peer's text as one bounded line without control characters. */
  public static String oneLine(String text) {
    String cut = text.length() <= MESSAGE_MAX ? text : text.substring(0, MESSAGE_MAX) + "…";
    return cut.replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
  }

  private static String tail(String text) {
    return text.length() <= DETAIL_MAX ? text : text.substring(text.length() - DETAIL_MAX);
  }
}
