package dev.forkd.frame;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.util.Optional;

/** What a guest or a native peer sends: frames, or a refusal; and a frame is written as it came. */
public final class FrameFuzzTarget {
  private FrameFuzzTarget() {}

  /** Entry of the fuzzer. */
  public static void fuzzerTestOneInput(byte[] data) throws IOException {
    FrameReader reader = new FrameReader(new ByteArrayInputStream(data));
    ByteArrayOutputStream again = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(again);
    try {
      for (Optional<Frame> frame = reader.read(); frame.isPresent(); frame = reader.read()) {
        writer.write(frame.get());
      }
    } catch (EOFException | dev.forkd.model.ForkdException refused) {
      return;
    }
    if (again.size() != data.length) {
      throw new AssertionError("%d bytes became %d".formatted(data.length, again.size()));
    }
  }
}
