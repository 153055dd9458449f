package dev.forkd.agent;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;

/** One file on its way into or out of a sandbox. */
final class FileTransfer {
  private final Multiplexer frames;
  private final String about;

  FileTransfer(Multiplexer frames, String about) {
    this.frames = frames;
    this.about = about;
  }

  long read(String path, long limit, OutputStream to, Duration wait) {
    if (limit < 1) {
      throw new ForkdException(FailureKind.INVALID, about + ": limit is " + limit + ", not ≥ 1");
    }
    Fields fields =
        Fields.builder()
            .text(FieldKey.PATH, path)
            .integer(FieldKey.BYTES, limit)
            .integer(FieldKey.WINDOW, Frame.DEFAULT_WINDOW)
            .build();
    Deadline deadline = Deadline.after(wait);
    Exchange exchange = frames.request(FrameType.READ_FILE, fields, Exchange.Shape.READ);
    try {
      long copied = 0;
      while (exchange.awaitEvent(deadline, about) instanceof Exchange.Event.Output(var taken)) {
        copied += taken.bytes().length;
        if (copied > limit) {
          throw new ForkdException(FailureKind.ENGINE, about + ": more came than was asked for");
        }
        to.write(taken.bytes());
        grant(exchange, taken.grant());
      }
      check(exchange.awaitLast(deadline, about));
      return copied;
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, about + ": cannot store what was read: " + e).thrown(e);
    } finally {
      frames.abandon(exchange);
    }
  }

  void write(String path, int mode, InputStream from, Duration wait) {
    Fields fields =
        Fields.builder()
            .text(FieldKey.PATH, path)
            .integer(FieldKey.MODE, mode)
            .flag(FieldKey.MAKE_PARENTS, true)
            .build();
    Deadline deadline = Deadline.after(wait);
    Exchange exchange = frames.request(FrameType.WRITE_FILE, fields, Exchange.Shape.WRITE);
    try {
      check(exchange.awaitStarted(deadline, about));
      byte[] buffer = new byte[Frame.MAX_DATA];
      for (int n = from.read(buffer); n >= 0; n = from.read(buffer)) {
        InputSender.send(frames, exchange, about, buffer, 0, n, deadline);
      }
      InputSender.end(frames, exchange);
      check(exchange.awaitLast(deadline, about));
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, about + ": cannot read what is to be written: " + e)
          .thrown(e);
    } catch (ForkdException e) {
      // "It took no more input" is a symptom; the reason is in the frame that ended the request.
      if (exchange.ended()) {
        check(exchange.awaitLast(deadline, about));
      }
      throw e;
    } finally {
      frames.abandon(exchange);
    }
  }

  private void grant(Exchange exchange, int bytes) {
    if (bytes > 0 && !exchange.ended()) {
      Fields window =
          Fields.builder().integer(FieldKey.STREAM, 1).integer(FieldKey.BYTES, bytes).build();
      frames.send(new Frame(FrameType.WINDOW, exchange.id(), window));
    }
  }

  private void check(Frame answer) {
    if (answer.type() == FrameType.ERROR) {
      throw ErrorFrame.failure(about, answer.fields()).thrown();
    }
  }
}
