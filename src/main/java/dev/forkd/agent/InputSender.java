package dev.forkd.agent;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;

/** Sends INPUT frames within the credit that the agent gives. */
final class InputSender {
  private InputSender() {}

  /** Sends bytes; CONFLICT when the receiver ended before it took them all. */
  static void send(
      Multiplexer frames,
      Exchange exchange,
      String about,
      byte[] bytes,
      int offset,
      int length,
      Deadline deadline) {
    int at = offset;
    int end = offset + length;
    while (at < end) {
      int part = exchange.awaitInputCredit(Math.min(Frame.MAX_DATA, end - at), deadline, about);
      if (part == 0) {
        throw new ForkdException(
            FailureKind.CONFLICT, about + ": it ended before it took all of its input");
      }
      Fields data = Fields.builder().bytes(FieldKey.DATA, bytes, at, part).build();
      frames.send(new Frame(FrameType.INPUT, exchange.id(), data));
      at += part;
    }
  }

  /** Tells that no input follows. */
  static void end(Multiplexer frames, Exchange exchange) {
    Fields eof = Fields.builder().flag(FieldKey.EOF, true).build();
    frames.send(new Frame(FrameType.INPUT, exchange.id(), eof));
  }
}
