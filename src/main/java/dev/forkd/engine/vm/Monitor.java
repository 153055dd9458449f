package dev.forkd.engine.vm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.host.Watchdog;
import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * QEMU's control channel (the QEMU Machine Protocol); one command at a time. The greeting is read
 * before the first command: most machines are never given one.
 */
final class Monitor implements AutoCloseable {
  private static final int MAX_LINES = 1000;

  private final SocketChannel channel;
  private final BufferedReader in;
  private final OutputStream out;
  private boolean negotiated;

  /** Talks over a connected channel, which it owns. */
  Monitor(SocketChannel channel) {
    this.channel = channel;
    in = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), UTF_8));
    out = Channels.newOutputStream(channel);
  }

  /** Runs a command. ENGINE with QEMU's reason when it is refused. */
  synchronized void run(String command, ObjectNode arguments, Duration deadline) {
    if (!negotiated) {
      exchange("qmp_capabilities", Json.object(), deadline);
      negotiated = true;
    }
    exchange(command, arguments, deadline);
  }

  /** As {@link #run}, of a command that takes no arguments. */
  void run(String command, Duration deadline) {
    run(command, Json.object(), deadline);
  }

  /**
   * Saves everything but RAM of a stopped machine. Despite its name the command needs no Xen.
   *
   * @param file as QEMU names it
   */
  void saveDevices(String file, Duration deadline) {
    ObjectNode arguments = Json.object();
    arguments.put("filename", file);
    // QEMU would let go of the disks otherwise, for another machine to take them over.
    arguments.put("live", false);
    run("xen-save-devices-state", arguments, deadline);
  }

  private void exchange(String command, ObjectNode arguments, Duration deadline) {
    ObjectNode request = Json.object();
    request.put("execute", command);
    request.set("arguments", arguments);
    try (Watchdog _ = Watchdog.after(deadline, this::close)) {
      out.write((Json.text(request) + "\n").getBytes(UTF_8));
      awaitReturn(command);
    } catch (IOException e) {
      throw new Failure(FailureKind.ENGINE, "QEMU did not answer " + command + ": " + e).thrown(e);
    }
  }

  private void awaitReturn(String command) throws IOException {
    // Between command and answer come events, whose number is bounded by what a command does.
    for (int i = 0; i < MAX_LINES; i++) {
      String line = in.readLine();
      if (line == null) {
        throw new IOException("the channel was closed");
      }
      JsonNode answer = Json.parse(line);
      if (answer.has("error")) {
        String why = answer.get("error").path("desc").asString();
        throw new Failure(FailureKind.ENGINE, "QEMU refused " + command + ": " + why).thrown();
      }
      if (answer.has("return")) {
        return;
      }
    }
    throw new IOException("no answer among " + MAX_LINES + " messages");
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
