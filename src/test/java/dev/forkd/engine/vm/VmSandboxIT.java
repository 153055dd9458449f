package dev.forkd.engine.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.contract.Bench;
import dev.forkd.contract.Contract;
import dev.forkd.contract.Ran;
import dev.forkd.engine.ForkOutcome;
import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.Guest;
import dev.forkd.engine.WarmPlan;
import dev.forkd.engine.network.Networks;
import dev.forkd.host.Tool;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import dev.forkd.model.Pong;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.Recipe;
import dev.forkd.model.SystemCalls;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What only virtual machines have: one template with a network and two processors for all. */
@Tag("vm")
@Timeout(180)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class VmSandboxIT {
  private static final long MIB = 1 << 20;
  private static final long IO_WEIGHT = 250;
  private static final Limits LIMITS =
      new Limits(0, 1024, 2000, 32 * MIB, 16 * MIB, 16 * MIB, 0, IO_WEIGHT);
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final String SERVER =
      """
      import socket, threading, os
      s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      s.bind(("", 8888)); s.listen()
      def serve():
          while True:
              c, _ = s.accept(); c.sendall(os.uname().nodename.encode()); c.close()
      threading.Thread(target=serve, daemon=True).start()
      """;

  @TempDir static Path dir;

  private VmEngine engine;
  private VmTemplate template;
  private final List<Guest> guests = new ArrayList<>();

  @BeforeAll
  void warm() {
    VmHost.requireIt();
    engine = new VmEngine(VmHost.paths(dir));
    Recipe.WarmUp warm =
        Bench.warm(
            List.of("json", "socket"),
            "data = bytearray(b'x' * 8_000_000)",
            Optional.empty(),
            Bench.SOON);
    template =
        (VmTemplate)
            engine.warm(
                new WarmPlan(
                    Bench.TAG,
                    VmHost.image(),
                    Optional.of(new Recipe.RuntimeSpec("python", "/usr/bin/python3")),
                    warm,
                    "/workdir",
                    Map.of(),
                    LIMITS,
                    SystemCalls.NONE,
                    Network.LOCAL),
                _ -> {});
  }

  @AfterEach
  void closeGuests() {
    guests.reversed().forEach(Guest::close);
    guests.clear();
  }

  @AfterAll
  void nothingIsLeft() throws IOException {
    if (engine == null) {
      return;
    }
    Groups groups = groups();
    template.close();
    engine.close();
    assertThat(VmHost.holdings(dir)).doesNotContain("process ");
    assertThat(networks()).isEmpty();
    assertThat(dir.resolve("vm")).doesNotExist();
    assertThat(groups.bases().values()).noneMatch(Files::exists);
  }

  @Test
  void processorsAreAsTheLimitSays() {
    assertThat(Bench.sh(fork(1).getFirst(), "grep -c ^processor /proc/cpuinfo").stdout())
        .isEqualTo("2\n");
  }

  /** What the shell starts is a fork of the runtime, so its parent is not the shell. */
  @Test
  void aProgramThatStartsTheInterpreterGetsAForkOfTheWarmOne() {
    Guest guest = fork(1).getFirst();
    String look = "import os, sys; print(os.getppid(), sys.executable, 'json' in sys.modules)";
    String warm = "2 /usr/bin/python3 False\n";
    String debug = "export FORKD_WARM_DEBUG=1; ";
    Ran ran = Bench.sh(guest, debug + "python3 -c \"" + look + "\"; true");
    assertThat(ran.stdout() + ran.stderr()).isEqualTo(warm);
    assertThat(Bench.sh(guest, "FORKD_COLD=1 python3 -c \"" + look + "\"; true").stdout())
        .isNotEqualTo(warm)
        .endsWith(" /usr/bin/python3 False\n");
    assertThat(Bench.sh(guest, "python3 -c 'import os; os.kill(os.getpid(), 9)'; echo $?").stdout())
        .isEqualTo("137\n");
  }

  @Test
  void theHostReachesEachAtTheSameAddressInANetworkOfItsOwn() {
    List<Guest> two = fork(2);
    for (Guest guest : two) {
      assertThat(guest.eval(SERVER, Bench.SOON).error()).isEmpty();
      String name = guest.network().orElseThrow();
      assertThat(name).startsWith("forkd-child-");
      assertThat(inNetwork(name)).isEqualTo(guest.id().text());
    }
    assertThat(two.get(0).network()).isNotEqualTo(two.get(1).network());
    // Nothing is behind the host's end, and a sibling at the same address is out of reach.
    assertThat(Bench.eval(two.get(0), connect("10.43.0.1"))).isNotEqualTo("0");
    assertThat(Bench.eval(two.get(0), connect("192.0.2.1"))).isNotEqualTo("0");
    String gone = two.get(0).network().orElseThrow();
    two.get(0).close();
    assertThat(networks()).doesNotContain(gone);
  }

  @Test
  void whatAKilledDaemonLeftOfNetworksIsSweptAtTheNextStart() throws IOException {
    Path records = Files.createDirectory(dir.resolve("left"));
    Path program = VmHost.paths(dir).networkProgram();
    List<String> add = List.of(program.toString(), "add", records.toString(), "nat", "tap");
    String left = Tool.run(add, Bench.SOON).strip();
    assertThat(Path.of("/run/netns", left)).exists();
    assertThat(Path.of("/sys/class/net", left.replace("child-", "v"))).exists();
    new Networks(program, records, Networks.Card.TAP).close();
    assertThat(Path.of("/run/netns", left)).doesNotExist();
    assertThat(Path.of("/sys/class/net", left.replace("child-", "v"))).doesNotExist();
    assertThat(records).isEmptyDirectory();
  }

  @Test
  void aParkedOneStandsStillAndWakesWithTheRightTime() throws Exception {
    Guest guest = fork(1).getFirst();
    guest.park();
    long ticks = ticks(guest.pid());
    assertThat(guest.ended().toCompletableFuture()).isNotDone();
    TimeUnit.MILLISECONDS.sleep(1500); // the length of time is what is looked at
    assertThat(ticks(guest.pid()) - ticks).isLessThan(20);
    assertThat(guest.wake(Bench.SOON)).isEqualTo(Pong.RuntimeState.READY);
    double behind =
        Instant.now().toEpochMilli() / 1e3
            - Double.parseDouble(Bench.eval(guest, "__import__('time').time()"));
    assertThat(behind).isBetween(-1.0, 1.0);
  }

  @Test
  @Timeout(300)
  void aGuestThatFillsItsDiskAndRewritesItsMemoryChangesNothingElse() throws Exception {
    List<Guest> two = fork(2);
    String memory = digest(template.frozen().memory().file());
    List<String> disks = new ArrayList<>();
    for (Path layer : template.frozen().layers()) {
      disks.add(digest(layer));
    }
    String inside = "__import__('hashlib').sha256(data).hexdigest()";
    String sibling = Bench.eval(two.get(1), inside);
    List<String> fill = List.of("sh", "-c", "cat /dev/zero > /opt/full");
    ProgramSpec filling = ProgramSpec.of(new ProgramSpec.Program.Exec(fill), LONG);
    assertThat(Bench.run(two.get(0), filling).stderr()).contains("No space left");
    assertThat(two.get(0).eval("data[:] = b'y' * len(data)", Bench.SOON).error()).isEmpty();
    assertThat(Bench.eval(two.get(0), inside)).isNotEqualTo(sibling);
    assertThat(Bench.eval(two.get(1), inside)).isEqualTo(sibling);
    assertThat(Bench.eval(fork(1).getFirst(), inside)).isEqualTo(sibling);
    assertThat(digest(template.frozen().memory().file())).isEqualTo(memory);
    for (int i = 0; i < disks.size(); i++) {
      assertThat(digest(template.frozen().layers().get(i))).isEqualTo(disks.get(i));
    }
  }

  @Test
  void oneThatCannotBeMadeDoesNotHarmItsSiblings() throws IOException {
    ForkPlan plan = plan(3);
    String unlucky = plan.children().get(1).id().text();
    // Nothing can be bound where something is.
    Path occupied = Files.createDirectory(template.frozen().dir().resolve(unlucky));
    List<ForkOutcome> outcomes = template.fork(plan);
    Files.delete(occupied);
    assertThat(outcomes.get(1))
        .isInstanceOfSatisfying(
            ForkOutcome.Failed.class,
            failed -> assertThat(failed.failure().message()).contains(unlucky));
    for (int i : List.of(0, 2)) {
      assertThat(Bench.eval(guest(outcomes.get(i)), "1")).isEqualTo("1");
    }
  }

  @Test
  void aDiskThatHasChangedIsRefused() throws IOException {
    Path layer = template.frozen().layers().getFirst();
    FileTime then = Files.getLastModifiedTime(layer);
    Files.setLastModifiedTime(layer, FileTime.from(then.toInstant().plusSeconds(60)));
    try {
      Failure failure = Contract.failureOf(() -> template.fork(plan(1)));
      assertThat(failure.kind()).isEqualTo(FailureKind.ENGINE);
      assertThat(failure.message()).contains("disk " + layer.getFileName(), "make the snapshot");
    } finally {
      Files.setLastModifiedTime(layer, then);
    }
  }

  @Test
  void qemuIsInAGroupThatLimitsItAndIsNobody() throws IOException {
    Guest guest = fork(1).getFirst();
    String id = guest.id().text();
    for (Path base : groups().bases().values()) {
      if (base.toString().contains("/pids/")) {
        continue; // threads of QEMU are bounded by its seccomp filter
      }
      Path tasks = base.resolve(id);
      assertThat(tasks).isDirectory();
    }
    Map<String, Path> bases = groups().bases();
    if (bases.containsKey("memory")) {
      String own = Files.readString(Path.of("/proc/" + guest.pid() + "/cgroup"));
      assertThat(own).contains(bases.get("memory").getFileName() + "/" + id);
    }
    if (bases.containsKey("io")) {
      assertThat(ioWeight(bases.get("io").resolve(id))).endsWith(" " + IO_WEIGHT);
    }
    String status = Files.readString(Path.of("/proc/" + guest.pid() + "/status"));
    assertThat(status).containsPattern("Uid:\t20\\d{8}").containsPattern("NoNewPrivs:\t1");
    assertThat(status).containsPattern("Seccomp:\t2").containsPattern("CapEff:\t0{16}");
  }

  /** As the kernel tells it, with a word before it or none. */
  private static String ioWeight(Path group) throws IOException {
    for (String file : List.of("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")) {
      if (Files.exists(group.resolve(file))) {
        return " " + Files.readString(group.resolve(file)).strip();
      }
    }
    throw new AssertionError("no weight in " + group);
  }

  /** What runs by KVM is nobody, and /dev/kvm belongs to root or to a group. */
  @Test
  void theUserOfAQemuMayOpenTheKvmThatItIsLent() {
    String look = "exec 3<>/dev/kvm && ls /dev && id -u";
    List<String> run =
        List.of(
            VmHost.paths(dir).wrapper().toString(),
            "run",
            "2000000077",
            "2000000077",
            "kvm",
            "--",
            "/bin/sh",
            "-c",
            look);
    if (Files.exists(Path.of("/dev/kvm"))) {
      assertThat(Tool.run(run, Bench.SOON)).isEqualTo("kvm\nnull\nurandom\n2000000077\n");
      assertThat(Path.of("/dev/shm")).exists();
    } else {
      assertThat(Contract.failureOf(() -> Tool.run(run, Bench.SOON)).detail()).contains("/dev/kvm");
    }
  }

  @Test
  void aKilledOneIsReportedWithTheLastOfItsConsole() throws Exception {
    Guest guest = fork(1).getFirst();
    ProcessHandle.of(guest.pid()).orElseThrow().destroyForcibly();
    String how = guest.ended().toCompletableFuture().get(20, TimeUnit.SECONDS);
    assertThat(how).startsWith("sandbox " + guest.id() + " was killed by SIGKILL");
  }

  @Test
  void privateMemoryIsAFractionOfTheMachines() {
    List<Guest> four = fork(4);
    for (Guest guest : four) {
      assertThat(dev.forkd.host.Proc.memory(guest.pid()).unique()).isLessThan(100 * MIB);
      if (groups().bases().containsKey("memory")) {
        assertThat(guest.memoryUsed().orElseThrow()).isBetween(10 * MIB, 100 * MIB);
      }
    }
  }

  private Groups groups() {
    return Groups.prepare(VmHost.paths(dir).wrapper(), VmHost.paths(dir).instance());
  }

  private static List<String> networks() {
    if (!Files.exists(dir.resolve("vm-networks"))) {
      return List.of();
    }
    try (Stream<Path> names = Files.list(dir.resolve("vm-networks"))) {
      return names.map(name -> name.getFileName().toString()).toList();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private static String inNetwork(String name) {
    String code =
        "import socket; s = socket.create_connection(('10.42.0.2', 8888), 10);"
            + " print(s.recv(99).decode())";
    return Tool.run(
            List.of("ip", "netns", "exec", name, "/usr/bin/python3", "-c", code), Bench.SOON)
        .strip();
  }

  /** An errno, or 0 when somebody answers. */
  private static String connect(String address) {
    return "(lambda s: (s.settimeout(2), s.connect_ex((%s, 80))))(__import__('socket').socket())[1]"
        .formatted("'" + address + "'");
  }

  private static long ticks(long pid) throws IOException {
    String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
  }

  private static String digest(Path file) throws Exception {
    MessageDigest sha = MessageDigest.getInstance("SHA-256");
    try (InputStream in = new DigestInputStream(Files.newInputStream(file), sha)) {
      in.transferTo(java.io.OutputStream.nullOutputStream());
    }
    return HexFormat.of().formatHex(sha.digest());
  }

  private ForkPlan plan(int n) {
    return new ForkPlan(
        IntStream.range(0, n).mapToObj(_ -> Bench.child()).toList(), LIMITS, Duration.ofMinutes(1));
  }

  private Guest guest(ForkOutcome outcome) {
    return switch (outcome) {
      case ForkOutcome.Forked forked -> {
        guests.add(forked.guest());
        yield forked.guest();
      }
      case ForkOutcome.Failed failed -> throw new AssertionError(failed.failure().toString());
    };
  }

  private List<Guest> fork(int n) {
    return template.fork(plan(n)).stream().map(this::guest).toList();
  }
}
