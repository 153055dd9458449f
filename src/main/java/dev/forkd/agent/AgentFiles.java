package dev.forkd.agent;

import dev.forkd.frame.ErrorFrame;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.frame.FrameType;
import dev.forkd.host.Deadline;
import dev.forkd.model.FailureKind;
import dev.forkd.model.FileInfo;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxFiles;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** The files of a sandbox by way of its agent. */
final class AgentFiles implements SandboxFiles {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int MODE_MAX = 0xfff;

  private final Multiplexer frames;
  private final String sandbox;

  AgentFiles(Multiplexer frames, String sandbox) {
    this.frames = frames;
    this.sandbox = sandbox;
  }

  @Override
  public FileInfo stat(String path) {
    return info(ask(FrameType.STAT, "looking at " + path, path(path)));
  }

  @Override
  public List<FileInfo> list(String path, int limit) {
    List<FileInfo> found = new ArrayList<>();
    boolean more = true;
    while (more && found.size() < limit) {
      Fields.Builder request = path(path).integer(FieldKey.OFFSET, found.size());
      Fields page = ask(FrameType.LIST, "listing " + path, request);
      int before = found.size();
      page.nested(FieldKey.DATA).forEach(entry -> found.add(info(entry)));
      more = page.flag(FieldKey.TRUNCATED) && found.size() > before;
    }
    return found.size() <= limit ? found : found.subList(0, limit);
  }

  @Override
  public void makeDirectory(String path, int mode, boolean parents) {
    Fields.Builder request =
        path(path).integer(FieldKey.MODE, mode).flag(FieldKey.MAKE_PARENTS, parents);
    ask(FrameType.MAKE_DIRECTORY, "making " + path, request);
  }

  @Override
  public void remove(String path) {
    ask(FrameType.REMOVE, "removing " + path, path(path));
  }

  @Override
  public void link(String path, String target) {
    ask(FrameType.LINK, "linking " + path, path(path).text(FieldKey.TARGET, target));
  }

  @Override
  public long read(String path, long limit, OutputStream to, Duration deadline) {
    return new FileTransfer(frames, about("reading " + path)).read(path, limit, to, deadline);
  }

  @Override
  public void write(String path, int mode, InputStream from, Duration deadline) {
    new FileTransfer(frames, about("writing " + path)).write(path, mode, from, deadline);
  }

  private static Fields.Builder path(String path) {
    return Fields.builder().text(FieldKey.PATH, path);
  }

  private Fields ask(int type, String what, Fields.Builder request) {
    Exchange exchange = frames.request(type, request.build(), Exchange.Shape.DONE);
    try {
      Frame answer = exchange.awaitLast(Deadline.after(PATIENCE), about(what));
      if (answer.type() == FrameType.ERROR) {
        throw ErrorFrame.failure(about(what), answer.fields()).thrown();
      }
      return answer.fields();
    } finally {
      frames.abandon(exchange);
    }
  }

  private String about(String what) {
    return "sandbox " + sandbox + ": " + what;
  }

  private FileInfo info(Fields entry) {
    String name = entry.text(FieldKey.NAME);
    if (name.indexOf('/') >= 0 || name.equals(".") || name.equals("..")) {
      throw new ForkdException(
          FailureKind.ENGINE, about("its agent told a name that no file can have"));
    }
    return new FileInfo(
        name,
        kind(entry.text(FieldKey.KIND)),
        entry.integer(FieldKey.BYTES, 0, 0, Long.MAX_VALUE),
        (int) entry.integer(FieldKey.MODE, 0, 0, MODE_MAX),
        entry.integer(FieldKey.TIME_NS, 0, Long.MIN_VALUE, Long.MAX_VALUE),
        entry.text(FieldKey.TARGET));
  }

  private static FileInfo.Kind kind(String word) {
    return switch (word) {
      case "file" -> FileInfo.Kind.FILE;
      case "directory" -> FileInfo.Kind.DIRECTORY;
      case "link" -> FileInfo.Kind.LINK;
      default -> FileInfo.Kind.OTHER;
    };
  }
}
