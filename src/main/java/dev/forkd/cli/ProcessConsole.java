package dev.forkd.cli;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** The console of a command that has a process of its own. */
public final class ProcessConsole {
  private ProcessConsole() {}

  /** This process's streams, environment and directory. */
  public static Console of(Signals signals) {
    boolean nothing = descriptor(0).equals("/dev/null") || descriptor(0).isEmpty();
    InputStream in = nothing ? Console.NO_INPUT : new FileInputStream(FileDescriptor.in);
    String bits = terminal(0) + terminal(1) + terminal(2);
    Console.Terminal terminal =
        Console.Terminal.of(bits, System.getenv().getOrDefault("COLUMNS", "80"));
    return new Console(
        in,
        print(FileDescriptor.out, terminal.out()),
        print(FileDescriptor.err, true),
        System.getenv(),
        Path.of("").toAbsolutePath(),
        terminal,
        terminal.in() ? new SttyScreen() : Screen.NONE,
        signals);
  }

  private static PrintStream print(FileDescriptor descriptor, boolean byLine) {
    var buffered = new BufferedOutputStream(new FileOutputStream(descriptor));
    return new PrintStream(buffered, byLine, StandardCharsets.UTF_8);
  }

  private static String terminal(int number) {
    return descriptor(number).matches("/dev/(tty|pts/|console).*") ? "1" : "0";
  }

  /** What a descriptor of this process is; "" when it is closed. */
  private static String descriptor(int number) {
    try {
      return Files.readSymbolicLink(Path.of("/proc/self/fd/" + number)).toString();
    } catch (IOException e) {
      return "";
    }
  }
}
