package dev.forkd.fanout;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.client.ForkdClient;
import dev.forkd.json.Json;
import dev.forkd.model.ExitStatus;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** One run: forks the controller and, as it asks, workers; carries bytes between them. */
public final class Run implements AutoCloseable {
  private static final Duration GIVEN_BACK = Duration.ofSeconds(10);
  private static final int MAX_WORKERS = 1024;
  private static final int PLAIN = -1;
  private static final long USUAL_GROWTH = 128L << 20; // until a run has told
  private static final String CONTROLLER =
      "import forkd_pytest.controller; forkd_pytest.controller.main()";
  private static final String WORKER = "import forkd_pytest.worker; forkd_pytest.worker.main()";

  private final ForkdClient client;
  private final Suite suite;
  private final Templates.Ready template;
  private final Templates templates;
  private final UserTree tree;
  private final Plainly plainly;
  private final PrintStream out;
  private final PrintStream err;
  private final Consumer<JsonNode> status;
  private final Sandboxes sandboxes;
  private final Map<Integer, Worker> workers = new ConcurrentHashMap<>();
  private final ReentrantLock controllerLock = new ReentrantLock();
  private final AtomicInteger asked = new AtomicInteger();
  private final AtomicInteger interrupts = new AtomicInteger();
  private Optional<Integer> code = Optional.empty();
  private JsonNode sources = Json.object();
  private String summary = "";
  private long growth;
  private boolean debugged; // the option is not one of the template's
  private volatile Optional<Thread> debugger = Optional.empty();
  private final Set<String> written = new TreeSet<>();

  /** Runs a program in a sandbox in the place of the command. */
  public interface Plainly {
    /**
     * To its end.
     *
     * @param program the request, but for input and terminal
     */
    ExitStatus run(SandboxId sandbox, ObjectNode program) throws IOException;
  }

  /**
   * What the user sees of a run.
   *
   * @param out what pytest prints
   * @param err what workers print beside it
   * @param status how the run stands, for a display: {@code forkd_pytest/live.py}
   */
  public record Shown(PrintStream out, PrintStream err, Consumer<JsonNode> status) {}

  private Run(
      ForkdClient client,
      Suite suite,
      Templates templates,
      Templates.Ready template,
      Plainly plainly,
      Shown shown) {
    this.client = client;
    this.suite = suite;
    this.templates = templates;
    this.template = template;
    this.tree = new UserTree(suite);
    this.plainly = plainly;
    this.out = shown.out();
    this.err = shown.err();
    this.status = shown.status();
    this.sandboxes = new Sandboxes(client, template.tag(), suite.memoryMib());
  }

  /**
   * Makes sure of the suite's template and forks from it.
   *
   * @param plainly for what does not end in a collected session
   * @param shown where the user looks
   */
  public static Run of(
      ForkdClient client, Suite suite, Templates templates, Plainly plainly, Shown shown)
      throws IOException {
    Templates.Ready template = templates.ready(suite);
    return new Run(client, suite, templates, template, plainly, shown);
  }

  /** The template that the workers are forked from. */
  public Tag template() {
    return template.tag();
  }

  /** Whether the suite was collected for this run. */
  public boolean fresh() {
    return template.fresh();
  }

  /** What the run has to say on the page of a CI job, as Markdown; "" = nothing. */
  public String summary() {
    return summary;
  }

  /** How many workers there were. */
  public int workers() {
    return asked.get();
  }

  /**
   * Runs everything; returns pytest's exit code.
   *
   * @param options the controller's, see {@code forkd_pytest/options.py}
   */
  public int run(ObjectNode options) throws IOException {
    debugged = options.path("debug").asBoolean(false);
    boolean fixed = options.path("fixed").asBoolean(false);
    // At once with the controller's, what it is likely to ask for.
    sandboxes.fork(1 + (fixed ? options.path("workers").asInt(0) : template.workers()));
    Worker controller = Worker.call(client, sandboxes.take(), CONTROLLER);
    try (controller) {
      options.put("sources", template.fresh());
      if (!fixed) {
        long each = template.growth() == 0 ? USUAL_GROWTH : template.growth();
        options.put("workers", Capacity.now().workers(each));
      }
      if (options.path("doctor").asBoolean(false)) {
        options.set("hazards", client.snapshot(template.tag()).path("runtime").path("hazards"));
      }
      for (String name : List.of("lines", "plan", "part")) {
        options.optional(name).ifPresent(path -> tree.allow(path.asString("")));
      }
      send(controller, 'C', 0, Json.text(options).getBytes(UTF_8));
      current = Optional.of(controller);
      Frames frames = new Frames();
      ExitStatus end =
          controller.follow(
              Map.of(
                  1, bytes -> frames.feed(bytes).forEach(frame -> handle(controller, frame)),
                  2, bytes -> print(err, bytes)));
      int result =
          code.orElseThrow(() ->
              new ForkdException(
                  FailureKind.ENGINE,
                  "the test run's controller ended early: " + Worker.words(end)));
      if (result == PLAIN) {
        return plain();
      }
    }
    written.addAll(template.written());
    growth = growth == 0 ? template.growth() : growth;
    if (template.fresh()
        || template.workers() != asked.get()
        || template.growth() != growth
        || !template.written().equals(written)) {
      templates.remember(
          suite,
          new Templates.Ready(template.tag(), template.fresh(), asked.get(), growth, written),
          sources);
    }
    return code.orElse(70);
  }

  private volatile Optional<Worker> current = Optional.empty();

  /** The first time the run is asked to end in order, the second time it is ended. */
  public void interrupt() {
    Optional<Worker> controller = current;
    if (interrupts.incrementAndGet() == 1 && controller.isPresent()) {
      send(controller.get(), 'i', 0, new byte[0]);
    } else {
      controller.ifPresent(Worker::close);
    }
  }

  private int plain() throws IOException {
    ObjectNode program = Json.object().put("warm", false).put("cwd", suite.cwd().toString());
    ArrayNode argv = program.putArray("args").add(suite.interpreter().path().toString());
    argv.add("-m").add("pytest");
    suite.args().forEach(argv::add);
    if (debugged) {
      argv.add("--pdb");
    }
    return plainly.run(sandboxes.take(), program).shellCode();
  }

  private void handle(Worker controller, Frames.Frame frame) {
    byte[] body = frame.body();
    switch (frame.kind()) {
      case 'o' -> print(out, body);
      case 's' -> toWorker(frame.number(), body);
      case 'd' -> debug(controller, frame.number(), Json.parse(body));
      case 'k' -> Optional.ofNullable(workers.remove(frame.number())).ifPresent(Worker::close);
      case 'f' -> start(controller, Json.parse(body));
      case 'r' -> send(controller, 'c', 0, read(new String(body, UTF_8)));
      case 'w' -> write(body);
      case 'l' -> status.accept(Json.parse(body));
      case 'm' -> growth = (frame.number() & 0xffffffffL) << 20;
      case 'x' -> sources = Json.parse(body);
      case 'y' -> summary = new String(body, UTF_8);
      case 'e' -> code = Optional.of(frame.number());
      default ->
          throw new ForkdException(
              FailureKind.ENGINE, "the test run's controller sent a frame of kind " + frame.kind());
    }
  }

  private void start(Worker controller, JsonNode numbers) {
    if (asked.addAndGet(numbers.size()) > MAX_WORKERS) {
      throw new ForkdException(
          FailureKind.EXHAUSTED, "a test run has at most " + MAX_WORKERS + " sandboxes");
    }
    sandboxes.fork(numbers.size() - sandboxes.free());
    for (JsonNode number : numbers) {
      int worker = number.asInt(0);
      SandboxId sandbox = sandboxes.take();
      Thread.ofVirtual().name("worker-" + worker).start(() -> serve(controller, worker, sandbox));
    }
  }

  /** Carries what a worker says to the controller, to the worker's end. */
  private void serve(Worker controller, int number, SandboxId sandbox) {
    String how;
    try (Worker worker = Worker.call(client, sandbox, WORKER)) {
      workers.put(number, worker);
      send(controller, 'S', number, new byte[0]);
      ExitStatus end =
          worker.follow(
              Map.of(
                  1, bytes -> send(controller, 'D', number, bytes),
                  2, bytes -> print(err, bytes)));
      how = Worker.words(end);
    } catch (ForkdException e) {
      how = String.valueOf(e.getMessage());
    }
    workers.remove(number);
    try {
      send(controller, 'E', number, how.getBytes(UTF_8));
    } catch (ForkdException e) {
      return; // the controller has ended: the run is over
    }
  }

  /** Lends the user's terminal to a worker whose test has failed, until its debugger is left. */
  private void debug(Worker controller, int number, JsonNode asked) {
    ObjectNode program = Json.object().put("warm", false);
    ArrayNode argv = program.putArray("args").add(suite.interpreter().path().toString());
    argv.add("-I").add("-S").add("-c").add(asked.path("program").asString(""));
    argv.add(asked.path("socket").asString(""));
    debugger =
        Optional.of(
            Thread.ofVirtual()
                .name("debugger-" + number)
                .start(() -> answer(controller, number, lend(number, program))));
  }

  private void answer(Worker controller, int number, String trouble) {
    try {
      send(controller, 'd', number, trouble.getBytes(UTF_8));
    } catch (ForkdException e) {
      return; // the controller has ended: to leave the debugger was to end the run
    }
  }

  /** The terminal is as it was when this returns. */
  private void awaitDebugger() {
    try {
      if (debugger.isPresent()) {
        debugger.get().join(GIVEN_BACK);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** "", or why there was no debugger. */
  private String lend(int number, ObjectNode program) {
    Worker worker = workers.get(number);
    if (worker == null) {
      return "its sandbox has ended";
    }
    try {
      ExitStatus status = plainly.run(worker.sandbox(), program);
      return status.shellCode() == 0 ? "" : Worker.words(status);
    } catch (ForkdException | IOException e) {
      return String.valueOf(e.getMessage());
    }
  }

  private void toWorker(int number, byte[] body) {
    Worker worker = workers.get(number);
    if (worker == null) {
      return; // it has ended, which the controller is told
    }
    try {
      worker.write(body);
    } catch (ForkdException e) {
      worker.close(); // its own thread tells the controller how it ended
    }
  }

  private void send(Worker controller, char kind, int number, byte[] body) {
    controllerLock.lock();
    try {
      controller.write(Frames.of(kind, number, body, 0, body.length));
    } finally {
      controllerLock.unlock();
    }
  }

  private byte[] read(String path) {
    try {
      Optional<byte[]> found = tree.read(path);
      byte[] reply = new byte[1 + found.map(bytes -> bytes.length).orElse(0)];
      reply[0] = (byte) (found.isPresent() ? '1' : '0');
      found.ifPresent(bytes -> System.arraycopy(bytes, 0, reply, 1, bytes.length));
      return reply;
    } catch (IOException e) {
      err.println("forkd: cannot read " + path + ": " + e);
      return new byte[] {'0'};
    }
  }

  private void write(byte[] body) {
    int end = 0;
    while (end < body.length && body[end] != 0) {
      end++;
    }
    String path = new String(body, 0, end, UTF_8);
    try {
      if (end == body.length || !tree.write(path, body, end + 1)) {
        return; // outside of the project: it stays in the sandbox, like all that tests write
      }
      written.add(path);
    } catch (IOException e) {
      err.println("forkd: cannot write " + path + ": " + e);
    }
  }

  private static void print(PrintStream to, byte[] bytes) {
    to.write(bytes, 0, bytes.length);
    to.flush();
  }

  /** Ends all sandboxes of the run. */
  @Override
  public void close() {
    workers.values().forEach(Worker::close);
    sandboxes.close();
    awaitDebugger();
  }
}
