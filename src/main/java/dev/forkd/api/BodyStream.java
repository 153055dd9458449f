package dev.forkd.api;

import io.helidon.common.buffers.DataReader;
import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/** A request's body. That a client hangs up in the middle of it is no defect but an IOException. */
final class BodyStream extends FilterInputStream {
  BodyStream(InputStream body) {
    super(body);
  }

  @Override
  public int read() throws IOException {
    try {
      return super.read();
    } catch (DataReader.InsufficientDataAvailableException e) {
      throw hungUp(e);
    }
  }

  @Override
  public int read(byte[] bytes, int offset, int length) throws IOException {
    try {
      return super.read(bytes, offset, length);
    } catch (DataReader.InsufficientDataAvailableException e) {
      throw hungUp(e);
    }
  }

  @Override
  public void close() throws IOException {
    try {
      super.close();
    } catch (DataReader.InsufficientDataAvailableException e) {
      throw hungUp(e);
    }
  }

  private static IOException hungUp(RuntimeException cause) {
    EOFException ended = new EOFException("the client hung up");
    ended.initCause(cause);
    return ended;
  }
}
