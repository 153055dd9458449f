package dev.forkd.api;

import dev.forkd.archive.SandboxTree;
import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.FileInfo;
import dev.forkd.model.ForkdException;
import dev.forkd.model.OpenedFiles;
import dev.forkd.model.Request;
import dev.forkd.model.SandboxId;
import dev.forkd.service.Forkd;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/** {@code …/files} and {@code …/tree} of a sandbox: what is in it, and changes of it. */
final class FilesResource {
  private static final Duration PER_FILE = Duration.ofHours(1);
  private static final int MAX_LIST = 100_000;
  private static final int MAX_PATH = 4096;

  private final Forkd forkd;

  FilesResource(Forkd forkd) {
    this.forkd = forkd;
  }

  List<Route> routes() {
    String files = "/v1/sandboxes/{id}/files";
    return List.of(
        Route.get(files, this::read),
        Route.put(files, this::write),
        Route.delete(files, this::remove),
        Route.get(files + "/stat", this::stat),
        Route.get(files + "/list", this::list),
        Route.post(files + "/mkdir", this::makeDirectory),
        Route.get("/v1/sandboxes/{id}/tree", this::pack),
        Route.put("/v1/sandboxes/{id}/tree", this::unpack));
  }

  private OpenedFiles open(Call call) {
    return forkd.handle(new Request.OpenFiles(call.sandbox()));
  }

  private Reply with(Call call, Function<OpenedFiles, Reply> work) {
    try (OpenedFiles opened = open(call)) {
      return work.apply(opened);
    }
  }

  private static String path(Call call) {
    return checked(call.text("path"));
  }

  private static String checked(String path) {
    if (!path.startsWith("/") || path.indexOf('\0') >= 0 || path.length() > MAX_PATH) {
      throw Body.invalid("`path` must be an absolute path inside the sandbox");
    }
    return path;
  }

  private Reply read(Call call) {
    SandboxId id = call.sandbox();
    String path = path(call);
    with(
        call,
        opened -> {
          checkFile(opened.files().stat(path), path);
          return Reply.done();
        });
    return new Reply.Content(
        "application/octet-stream",
        out -> {
          try (OpenedFiles opened = forkd.handle(new Request.OpenFiles(id))) {
            opened.files().read(path, Long.MAX_VALUE, out, PER_FILE);
          }
        });
  }

  private static void checkFile(FileInfo info, String path) {
    if (info.kind() == FileInfo.Kind.DIRECTORY) {
      throw new ForkdException(
          FailureKind.INVALID, path + " is a directory: list it, or take it as a tree");
    }
  }

  private Reply write(Call call) {
    String path = path(call);
    int mode = mode(call.text("mode"));
    return with(
        call,
        opened -> {
          try (InputStream in = call.content()) {
            opened.files().write(path, mode, in, PER_FILE);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          return Reply.done();
        });
  }

  private static int mode(String octal) {
    if (octal.isEmpty()) {
      return 0644;
    }
    if (!octal.matches("[0-7]{1,4}")) {
      throw Body.invalid("`mode` must be octal, such as 644");
    }
    return Integer.parseInt(octal, 8);
  }

  private Reply remove(Call call) {
    String path = path(call);
    boolean recursive = call.flag("recursive");
    if (path.matches("[/.]*")) {
      throw Body.invalid("the root of a sandbox cannot be removed: delete the sandbox");
    }
    return with(
        call,
        opened -> {
          if (recursive) {
            new SandboxTree(opened.files(), path).remove();
          } else {
            opened.files().remove(path);
          }
          return Reply.done();
        });
  }

  private Reply stat(Call call) {
    String path = path(call);
    return with(call, opened -> Reply.ok(shape(opened.files().stat(path)).put("path", path)));
  }

  private Reply list(Call call) {
    String path = path(call);
    return with(
        call,
        opened ->
            Reply.ok(
                Shapes.list(
                    opened.files().list(path, MAX_LIST).stream()
                        .filter(info -> !info.name().isEmpty())
                        .sorted(java.util.Comparator.comparing(FileInfo::name))
                        .toList(),
                    info -> shape(info).put("name", info.name()))));
  }

  private static ObjectNode shape(FileInfo info) {
    ObjectNode node =
        Json.object()
            .put("kind", info.kind().word())
            .put("bytes", info.bytes())
            .put("mode", "%04o".formatted(info.mode()))
            .put("modified_unix_ms", info.modifiedNs() / 1_000_000);
    return info.target().isEmpty() ? node.putNull("target") : node.put("target", info.target());
  }

  private Reply makeDirectory(Call call) {
    return with(
        call,
        opened -> {
          Body body = call.body();
          String path = checked(body.requireText("path"));
          int mode = body.text("mode").map(FilesResource::mode).orElse(0755);
          opened.files().makeDirectory(path, mode, body.flag("parents", false));
          return Reply.done();
        });
  }

  private Reply pack(Call call) {
    SandboxId id = call.sandbox();
    String path = path(call);
    open(call).close(); // an unknown sandbox is an ordinary reply
    return new Reply.Content(
        "application/x-tar",
        out -> {
          try (OpenedFiles opened = forkd.handle(new Request.OpenFiles(id))) {
            new SandboxTree(opened.files(), path).pack(out);
          }
        });
  }

  private Reply unpack(Call call) {
    String path = path(call);
    return with(
        call,
        opened -> {
          try (InputStream in = call.content()) {
            long entries = new SandboxTree(opened.files(), path).unpack(in);
            return Reply.ok(Json.object().put("entries", entries));
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }
}
