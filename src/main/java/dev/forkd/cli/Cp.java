package dev.forkd.cli;

import dev.forkd.client.ForkdClient;
import dev.forkd.client.RemoteFiles;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
    name = "cp",
    description = {
      "Copies a file or a directory into a sandbox, or out of it.",
      "The sandbox's side is ID:/absolute/path. A directory is copied as the named path itself;",
      "out of a sandbox only to a path where nothing is yet. - is standard input or output."
    },
    footer = {
      "",
      "Example:",
      "  forkd cp ./project sb-686f1a2b-0000:/work",
      "  forkd cp sb-686f1a2b-0000:/work/report.xml - | less"
    })
final class Cp extends DaemonCommand {
  @Parameters(index = "0", paramLabel = "FROM", description = "A path here, or ID:/path.")
  private String from = "";

  @Parameters(index = "1", paramLabel = "TO", description = "A path here, or ID:/path.")
  private String to = "";

  Cp(Session session) {
    super(session);
  }

  private record Remote(SandboxId id, String path) {
    static boolean is(String text) {
      return text.matches("[A-Za-z0-9_-]+:/.*");
    }

    static Remote of(String text) {
      int colon = text.indexOf(':');
      return new Remote(new SandboxId(text.substring(0, colon)), text.substring(colon + 1));
    }
  }

  @Override
  int run(ForkdClient client) throws IOException {
    if (Remote.is(from) == Remote.is(to)) {
      throw new ForkdException(
          FailureKind.INVALID, "exactly one of FROM and TO is in a sandbox: write it as ID:/path");
    }
    if (Remote.is(to)) {
      Remote remote = Remote.of(to);
      in(client.files(remote.id()), remote.path());
    } else {
      Remote remote = Remote.of(from);
      out(client.files(remote.id()), remote.path());
    }
    return 0;
  }

  private void in(RemoteFiles files, String path) throws IOException {
    if (from.equals("-")) {
      files.write(path, 0644, session.console().in());
      return;
    }
    Path local = session.console().path(from);
    if (Files.isDirectory(local)) {
      files.upload(local, path);
      return;
    }
    boolean executable =
        Files.getPosixFilePermissions(local).contains(PosixFilePermission.OWNER_EXECUTE);
    try (InputStream in = Files.newInputStream(local)) {
      files.write(path, executable ? 0755 : 0644, in);
    }
  }

  private void out(RemoteFiles files, String path) throws IOException {
    boolean tree = files.stat(path).path("kind").asString("").equals("directory");
    if (to.equals("-")) {
      if (tree) {
        throw new ForkdException(
            FailureKind.INVALID, path + " is a directory: name a path to copy it to");
      }
      files.read(path, session.console().out());
      return;
    }
    Path local = session.console().path(to);
    if (tree) {
      files.download(path, local);
    } else {
      try (OutputStream out = Files.newOutputStream(local)) {
        files.read(path, out);
      }
    }
  }
}
