package dev.forkd.engine.network;

import dev.forkd.engine.Names;
import dev.forkd.host.Subprocess;
import dev.forkd.host.Watchdog;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What answers a sandbox that asks for names: {@code forkd-net questions} has the port, the answers
 * are made here. A few questions are worked on at once; those beyond are dropped, as datagrams are.
 */
final class NameServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(NameServer.class);
  private static final Duration START = Duration.ofSeconds(10);
  private static final int AT_ONCE = 16;

  private final Subprocess process;
  private final Names names;
  private final Consumer<List<String>> rules;
  private final DataOutputStream out;
  private final Semaphore free = new Semaphore(AT_ONCE);
  private Set<String> inForce;
  private boolean closed;

  private NameServer(Subprocess process, Names names, Consumer<List<String>> rules) {
    this.inForce = Set.copyOf(names.rules());
    this.process = process;
    this.names = names;
    this.rules = rules;
    this.out = new DataOutputStream(process.stdin());
  }

  /**
   * Starts one; when this returns it is asked.
   *
   * @param names what its rules are now is in force
   * @param rules puts in force what an answer lets through
   * @throws ForkdException ENGINE when it cannot have its port
   */
  static NameServer start(Subprocess process, Names names, Consumer<List<String>> rules) {
    NameServer server = new NameServer(process, names, rules);
    DataInputStream in = new DataInputStream(process.stdout());
    try (Watchdog _ = Watchdog.after(START, process::close)) {
      in.readInt(); // the empty first message
    } catch (IOException e) {
      process.close();
      throw new Failure(
              FailureKind.ENGINE, "starting a name server: " + process.stderrTail().strip())
          .thrown(e);
    }
    // A platform thread: a blocked read of a pipe would hold a carrier of the virtual threads.
    Thread.ofPlatform().daemon().name("names-" + process.pid()).start(() -> server.serve(in));
    return server;
  }

  private void serve(DataInputStream in) {
    try {
      while (true) {
        byte[] question = new byte[in.readUnsignedShort()];
        int port = in.readUnsignedShort();
        in.readFully(question);
        if (free.tryAcquire()) {
          Thread.ofVirtual().name("name").start(() -> answer(question, port));
        }
      }
    } catch (IOException e) {
      LOG.debug("event=name_server_ended pid={} reason=\"{}\"", process.pid(), e.toString());
    }
  }

  private void answer(byte[] question, int port) {
    try {
      names.answer(question).ifPresent(message -> send(message, port));
    } catch (ForkdException e) {
      // Its rules could not be set: who asked is not told an address that it cannot reach.
      LOG.warn("event=name_not_told reason=\"{}\"", e.getMessage());
    } finally {
      free.release();
    }
  }

  private synchronized void send(byte[] message, int port) {
    if (closed) {
      return; // another list is in force by now: these rules must not replace its own
    }
    List<String> wanted = names.rules();
    // In no order: names are told with their addresses in another one each time.
    if (!inForce.equals(Set.copyOf(wanted))) {
      rules.accept(wanted);
      inForce = Set.copyOf(wanted);
    }
    try {
      out.writeShort(message.length);
      out.writeShort(port);
      out.write(message);
      out.flush();
    } catch (IOException e) {
      LOG.debug("event=answer_lost pid={} reason=\"{}\"", process.pid(), e.toString());
    }
  }

  /** When this returns no rule is set any more. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
    }
    process.close();
  }
}
