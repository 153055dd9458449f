package dev.forkd.client;

import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.ProgramEvent;
import dev.forkd.model.RunningProgram;
import dev.forkd.model.SandboxId;
import dev.forkd.model.TerminalSize;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A program that runs in a sandbox while its output streams here. One thread takes events, another
 * may write input; {@link #close} hangs up, which ends the program if it still runs and is not
 * detached.
 */
public final class ProgramStream implements RunningProgram {
  private static final Duration CONTROL = Duration.ofSeconds(10);

  private final Transport transport;
  private final Transport.Exchange exchange;
  private final Lines lines;
  private final String route;
  private final long pid;
  private final boolean warm;
  private final Duration inputPatience;
  private final Object inputLock = new Object();
  private @org.jspecify.annotations.Nullable Upload upload;

  ProgramStream(
      Transport transport, Transport.Exchange exchange, SandboxId sandbox, Duration inputPatience) {
    this.transport = transport;
    this.exchange = exchange;
    this.inputPatience = inputPatience;
    this.lines = new Lines(exchange.body());
    try {
      JsonNode started = event();
      if (!"started".equals(started.path("event").asString(""))) {
        throw new ForkdException(
            FailureKind.INTERNAL, "the program's stream does not begin with started");
      }
      this.pid = started.path("pid").asLong(0);
      this.warm = started.path("warm").asBoolean(false);
      this.route =
          "/v1/sandboxes/" + sandbox + "/programs/" + started.path("program").asString("") + "/";
    } catch (RuntimeException e) {
      exchange.close();
      throw e;
    }
  }

  private JsonNode event() {
    JsonNode event;
    try {
      event = lines.next();
    } catch (IOException e) {
      throw exchange.failed(e);
    }
    if ("error".equals(event.path("event").asString(""))) {
      throw Failures.of(event, 500, "").thrown();
    }
    return event;
  }

  @Override
  public long pid() {
    return pid;
  }

  /** Whether it is a fork of the warm runtime rather than a new process. */
  public boolean warm() {
    return warm;
  }

  @Override
  public ProgramEvent next(Duration deadline) {
    exchange.deadline(deadline);
    JsonNode event = event();
    String kind = event.path("event").asString("");
    return switch (kind) {
      case "stdout" -> new ProgramEvent.Output(1, data(event));
      case "stderr" -> new ProgramEvent.Output(2, data(event));
      case "lost" -> new ProgramEvent.Output(2, lost(event));
      case "exit" -> exited(event);
      default -> throw new ForkdException(FailureKind.INTERNAL, "unknown event \"" + kind + "\"");
    };
  }

  /** Of a detached program that nobody listened to for a while. */
  private static byte[] lost(JsonNode event) {
    return "forkd: %d bytes of its output are kept no longer\n"
        .formatted(event.path("bytes").asLong(0))
        .getBytes(StandardCharsets.UTF_8);
  }

  private ProgramEvent exited(JsonNode event) {
    try {
      lines.drain();
    } catch (IOException e) {
      throw exchange.failed(e);
    }
    int code = event.path("exit_code").asInt(0);
    int signal = event.path("signal").asInt(0);
    long micros = Math.round(event.path("duration_ms").asDouble(0) * 1000);
    return new ProgramEvent.Exited(
        new ExitStatus(
            Math.max(0, code),
            signal > 0 ? signal : Math.max(0, -code),
            event.path("timed_out").asBoolean(false),
            event.path("out_of_memory").asBoolean(false),
            Duration.ofNanos(micros * 1000)));
  }

  private static byte[] data(JsonNode event) {
    JsonNode encoded = event.path("data_b64");
    return encoded.isString()
        ? Base64.getDecoder().decode(encoded.stringValue())
        : event.path("data").asString("").getBytes(StandardCharsets.UTF_8);
  }

  private Upload input() {
    synchronized (inputLock) {
      if (upload == null) {
        upload = new Upload(transport, new Transport.Route("POST", route + "stdin"), inputPatience);
      }
      return upload;
    }
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    input().write(bytes, offset, length);
  }

  @Override
  public void closeInput() {
    input().finish();
  }

  @Override
  public void signal(int number) {
    byte[] body = Json.text(Json.object().put("signal", number)).getBytes(StandardCharsets.UTF_8);
    transport.bytes(new Transport.Route("POST", route + "signal"), body, CONTROL);
  }

  @Override
  public void resize(TerminalSize size) {
    ObjectNode body = Json.object().put("rows", size.rows()).put("columns", size.columns());
    transport.bytes(
        new Transport.Route("POST", route + "resize"),
        Json.text(body).getBytes(StandardCharsets.UTF_8),
        CONTROL);
  }

  @Override
  public void close() {
    exchange.close();
    synchronized (inputLock) {
      if (upload != null) {
        upload.close();
      }
    }
  }
}
