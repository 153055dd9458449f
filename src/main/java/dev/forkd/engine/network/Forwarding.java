package dev.forkd.engine.network;

import dev.forkd.host.Subprocess;
import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.PublishedPort;
import java.io.IOException;
import java.time.Duration;

/** One published port: a process that lives as long as this. */
record Forwarding(Subprocess process, PublishedPort published) implements AutoCloseable {
  private static final Duration START = Duration.ofSeconds(10);
  private static final Duration LAST_WORDS = Duration.ofSeconds(2);
  private static final int MAX_DIGITS = 6;

  /**
   * Listens.
   *
   * @throws ForkdException CONFLICT when the host's port cannot be had
   */
  static Forwarding start(Networks networks, String network, String address, int port, int target) {
    Subprocess process = networks.forward(network, address, port, target);
    try (Watchdog _ = Watchdog.after(START, process::close)) {
      return new Forwarding(
          process, new PublishedPort(target, address, readPort(process, address, port)));
    } catch (ForkdException e) {
      process.close();
      throw e;
    }
  }

  private static int readPort(Subprocess process, String address, int asked) {
    StringBuilder digits = new StringBuilder();
    try {
      int c = process.stdout().read();
      while (c >= '0' && c <= '9' && digits.length() < MAX_DIGITS) {
        digits.append((char) c);
        c = process.stdout().read();
      }
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "publishing port " + asked + ": " + e).thrown(e);
    }
    if (digits.isEmpty()) {
      process.end(LAST_WORDS); // so that all of its last words are there
      throw new Failure(
              FailureKind.CONFLICT,
              "cannot listen on %s:%d: %s".formatted(address, asked, process.stderrTail().strip()))
          .thrown();
    }
    return Integer.parseInt(digits.toString());
  }

  @Override
  public void close() {
    process.close();
  }
}
