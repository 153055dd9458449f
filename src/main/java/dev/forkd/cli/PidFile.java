package dev.forkd.cli;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Who the daemon is: {@code <pid> <start time in clock ticks>}. The start time tells whether the
 * process of that pid still is the one that wrote the file.
 */
public final class PidFile {
  private static final int START_TIME = 22; // field of /proc/PID/stat, see proc(5)

  private PidFile() {}

  /** Writes down this process. */
  public static void write(Path file) throws IOException {
    long pid = ProcessHandle.current().pid();
    Files.writeString(file, pid + " " + startTime(pid) + "\n");
  }

  /** The live daemon that the file names. */
  static Optional<ProcessHandle> read(Path file) {
    try {
      String[] words = Files.readString(file).strip().split(" ");
      if (words.length != 2 || !words[0].matches("[0-9]{1,9}")) {
        throw new IOException("it does not hold a pid and a start time");
      }
      long pid = Long.parseLong(words[0]);
      return startTime(pid).equals(words[1]) ? ProcessHandle.of(pid) : Optional.empty();
    } catch (NoSuchFileException e) {
      return Optional.empty(); // no daemon, or its process has ended
    } catch (IOException e) {
      throw new Failure(FailureKind.UNAVAILABLE, "cannot read " + file + ": " + e.getMessage())
          .thrown(e);
    }
  }

  private static String startTime(long pid) throws IOException {
    String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
    // The second field is a name in parentheses that may itself hold spaces and parentheses.
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
    return fields[START_TIME - 3];
  }
}
