package dev.forkd.client;

import dev.forkd.archive.HostTree;
import dev.forkd.json.Json;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import tools.jackson.databind.JsonNode;

/** The files of one sandbox. Every method throws {@link dev.forkd.model.ForkdException}. */
public final class RemoteFiles {
  private static final byte[] NOTHING = {};
  private static final int CHUNK = 64 << 10;
  private static final Duration TRANSFER = Duration.ofHours(1);

  private final Transport transport;
  private final String base;

  RemoteFiles(Transport transport, SandboxId sandbox) {
    this.transport = transport;
    this.base = "/v1/sandboxes/" + sandbox;
  }

  private static String query(String path) {
    return "?path=" + URLEncoder.encode(path, StandardCharsets.UTF_8).replace("+", "%20");
  }

  /** What is at a path: kind, bytes, mode, modified_unix_ms, target. */
  public JsonNode stat(String path) {
    return get("/files/stat" + query(path));
  }

  /** What is in a directory, ordered by name. */
  public JsonNode list(String path) {
    return get("/files/list" + query(path));
  }

  private JsonNode get(String path) {
    return transport.json(new Transport.Route("GET", base + path), NOTHING, ForkdClient.TIMEOUT);
  }

  /** Makes a directory, with those on the way to it. */
  public void makeDirectory(String path) {
    byte[] body =
        Json.text(Json.object().put("path", path).put("parents", true))
            .getBytes(StandardCharsets.UTF_8);
    transport.bytes(new Transport.Route("POST", base + "/files/mkdir"), body, ForkdClient.TIMEOUT);
  }

  /** Removes a file or, {@code recursive}, whatever is at the path. */
  public void remove(String path, boolean recursive) {
    String more = recursive ? "&recursive=true" : "";
    transport.bytes(
        new Transport.Route("DELETE", base + "/files" + query(path) + more), NOTHING, TRANSFER);
  }

  /** Copies a file out. */
  public void read(String path, OutputStream to) {
    Transport.Route route = new Transport.Route("GET", base + "/files" + query(path));
    try (Transport.Exchange exchange = transport.send(route, Transport.BYTES, NOTHING, TRANSFER)) {
      exchange.body().transferTo(to);
    } catch (IOException e) {
      throw transport.failed(route, e);
    }
  }

  /** Writes a file; {@code mode} as permission bits. */
  public void write(String path, int mode, InputStream from) {
    String more = "&mode=" + Integer.toOctalString(mode & 07777);
    upload(new Transport.Route("PUT", base + "/files" + query(path) + more), from::transferTo);
  }

  /** Copies a directory of the sandbox into a new one here. */
  public void download(String path, Path into) {
    Transport.Route route = new Transport.Route("GET", base + "/tree" + query(path));
    try (Transport.Exchange exchange =
        transport.send(route, "application/x-tar", NOTHING, TRANSFER)) {
      HostTree.unpack(exchange.body(), into);
      exchange.body().transferTo(OutputStream.nullOutputStream());
    } catch (IOException e) {
      throw transport.failed(route, e);
    }
  }

  /** Copies a directory from here into one of the sandbox, which is made if need be. */
  public void upload(Path from, String path) {
    Transport.Route route = new Transport.Route("PUT", base + "/tree" + query(path));
    upload(route, out -> HostTree.pack(from, out));
  }

  private interface Content {
    void writeTo(OutputStream out) throws IOException;
  }

  private void upload(Transport.Route route, Content content) {
    try (Upload upload = new Upload(transport, route, TRANSFER)) {
      OutputStream out = new java.io.BufferedOutputStream(new Chunks(upload), CHUNK);
      content.writeTo(out);
      out.flush();
      upload.finish();
    } catch (IOException e) {
      throw transport.failed(route, e);
    }
  }

  private static final class Chunks extends OutputStream {
    private final Upload upload;

    Chunks(Upload upload) {
      this.upload = upload;
    }

    @Override
    public void write(int b) {
      upload.write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      upload.write(bytes, offset, length);
    }
  }
}
